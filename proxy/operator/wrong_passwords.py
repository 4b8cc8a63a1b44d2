"""Wrong passwords at the operator listener: each is answered later than the one before, and the owner is told.

The right password is never late. While many wrong ones wait for their answer, further requests are not looked at,
so that the answer to a guess cannot be had faster elsewhere; whoever gave the right password before is still served.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.rules.fairness import ClientNetwork, client_network
from proxy.telemetry.conditions import Conditions

T = TypeVar("T")

FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 4.0
_MANY_IN_ALL = 20
"""Wrong passwords of all addresses together from which on each is answered as late as can be."""
_TOLD_FROM = 5
_MOST_LATE, _MOST_LATE_OF_KNOWN = 8, 32
_MOST_PARTIES = 1024
_REMEMBERED_MS = 60 * 60_000


class WrongPasswords:
    """Counts wrong passwords by address, and in all, until there was none for an hour."""

    def __init__(
        self, conditions: Conditions, now: Callable[[], int], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._conditions = conditions
        self._now = now
        self._sleep = sleep
        self._wrong: OrderedDict[ClientNetwork, int] = OrderedDict()
        self._known: OrderedDict[ClientNetwork, None] = OrderedDict()
        self._total = 0
        self._last_at = 0
        self._late = 0

    def too_many(self, address: str) -> bool:
        """Tell whether a request is refused unread, since so many wrong ones wait for their answer."""
        return self._late >= (_MOST_LATE_OF_KNOWN if client_network(address) in self._known else _MOST_LATE)

    def right(self, address: str) -> None:
        """Remember who gave the right password."""
        who = client_network(address)
        self._wrong.pop(who, None)
        _put(self._known, who, None)

    async def wrong(self, address: str) -> None:
        """Note a wrong password, and return when it may be answered."""
        delay = self._delay(client_network(address))
        self._late += 1
        try:
            await self._sleep(delay)
        finally:
            self._late -= 1

    def _delay(self, who: ClientNetwork) -> float:
        now = self._now()
        if now - self._last_at > _REMEMBERED_MS:
            self._wrong.clear()
            self._total = 0
        self._last_at = now
        self._total += 1
        times = self._wrong.get(who, 0)
        _put(self._wrong, who, times + 1)
        if self._total >= _TOLD_FROM:
            detail = f"{self._total} wrong passwords: is somebody guessing?"
            self._conditions.report("operator_password", detail=detail, lasts_ms=_REMEMBERED_MS)
        doubled = FIRST_DELAY_S * 2 ** min(times, 10)
        return LONGEST_DELAY_S if self._total >= _MANY_IN_ALL else min(doubled, LONGEST_DELAY_S)


def _put(table: OrderedDict[ClientNetwork, T], who: ClientNetwork, value: T) -> None:
    table[who] = value
    table.move_to_end(who)
    if len(table) > _MOST_PARTIES:
        table.popitem(last=False)
