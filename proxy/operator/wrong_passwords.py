"""Wrong passwords at the operator listener: each is answered later than the one before, and the owner hears of them.

The right password is never delayed. While many wrong ones wait for their answer, further requests are refused unread,
so that a guess is not answered sooner on another connection; addresses that gave the right password before are still
served.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.rules.fairness import ClientNetwork, client_network

T = TypeVar("T")

FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 4.0
# From so many wrong passwords of all addresses together on, each is answered after the longest delay.
_LONGEST_FROM = 20
# From so many on, the condition ``operator_password`` is reported.
_REPORTED_FROM = 5
# So many wrong ones may wait for their answer, and so many for their check, before a request is refused unread; more if
# its address was right before.
_MOST_LATE, _MOST_LATE_IF_RIGHT_BEFORE = 8, 32
_MOST_PARTIES = 1024
_REMEMBERED_MS = 60 * 60_000


class WrongPasswords:
    """Counts wrong passwords by address, and in all, until there was none for an hour."""

    def __init__(
        self,
        conditions: ConditionBoard,
        now: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the board that the owner is warned by, and the clock.

        Args:
            conditions: Where the condition ``operator_password`` is reported.
            now: Server clock in milliseconds.
            sleep: Waits for so many seconds.
        """
        self._conditions = conditions
        self._now = now
        self._sleep = sleep
        self._wrong: OrderedDict[ClientNetwork, int] = OrderedDict()
        self._right_before: OrderedDict[ClientNetwork, None] = OrderedDict()
        self._total = 0
        self._last_at = 0
        self._late = 0

    def is_throttled(self, address: str, checking: int) -> bool:
        """Tell whether a request is refused unread, since so many wrong ones wait for their answer or their check.

        Args:
            address: Where the request comes from.
            checking: How many passwords wait for their check.
        """
        was_right = client_network(address) in self._right_before
        return max(self._late, checking) >= (_MOST_LATE_IF_RIGHT_BEFORE if was_right else _MOST_LATE)

    def record_success(self, address: str) -> None:
        """Remember that an address gave the right password."""
        who = client_network(address)
        self._wrong.pop(who, None)
        _put(self._right_before, who, None)

    async def delay_failure(self, address: str) -> None:
        """Count a wrong password, and return when it may be answered."""
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
        if self._total >= _REPORTED_FROM:
            self._conditions.report(
                "operator_password", detail=details.wrong_passwords(self._total), lasts_ms=_REMEMBERED_MS
            )
        doubled = FIRST_DELAY_S * 2 ** min(times, 10)
        return LONGEST_DELAY_S if self._total >= _LONGEST_FROM else min(doubled, LONGEST_DELAY_S)


def _put(table: OrderedDict[ClientNetwork, T], who: ClientNetwork, value: T) -> None:
    table[who] = value
    table.move_to_end(who)
    if len(table) > _MOST_PARTIES:
        table.popitem(last=False)
