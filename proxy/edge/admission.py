"""Which requests are let in, before their bodies are read: each client at its rate and within its share."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from proxy.config.schema import LimitSettings
from proxy.model import condition_details as details
from proxy.rules.fairness import Buckets, ClientNetwork, Judgement, Shares, price
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

MOST_BYTES = 32 << 20
"""How many bytes of bodies, of all clients, may be arriving or waiting for the disk."""
_PRICE_EVERY_S = 1.0
_BUSY_SECONDS = 5
_LASTS_MS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request is not let in, and when it may come again."""

    status: int
    why: str
    retry_seconds: int


class Admission:
    """Judges requests by their client and the size of their body."""

    def __init__(
        self,
        limits: LimitSettings,
        *,
        fullness: Callable[[], float],
        clock: Callable[[], float],
        conditions: Conditions,
        metrics: Metrics,
    ) -> None:
        """Begin with nothing under way.

        Args:
            limits: What one client may take.
            fullness: Returns how full the queue is, 0 to 1; called once a second at most.
            clock: A monotonic clock in seconds.
            conditions: Is told of floods.
            metrics: Counts refusals.
        """
        self._buckets = Buckets(limits.requests_per_second, limits.burst)
        self._shares = Shares(limits.connections, MOST_BYTES)
        self.enter = self._shares.enter
        """Counts a request that was let in against the share of its client."""
        self.leave = self._shares.leave
        """Ends that count; takes the same size as ``enter`` did."""
        self._fullness = fullness
        self._clock = clock
        self._conditions = conditions
        self._metrics = metrics
        self._price, self._next_price_at = 1.0, -math.inf

    def refusal(self, network: ClientNetwork, size: int) -> Refused | None:
        """Return why a request with a body of ``size`` bytes is refused; None lets it in."""
        now = self._clock()
        wait = self._buckets.take(network, now, self._price_now(now))
        if wait:
            return self._refused("rate", 429, "too many requests of one address; try again later", wait)
        judgement = self._shares.judge(network, size)
        if judgement is Judgement.OVER_SHARE:
            return self._refused("share", 429, "others need room; try again later", _BUSY_SECONDS)
        if judgement is Judgement.FULL:
            return self._refused("full", 503, "too much under way; try again later", _BUSY_SECONDS)
        return None

    def charge(self, network: ClientNetwork, events: int) -> None:
        """Charge a client for the events of a request beyond the first, which was charged when it was let in."""
        if events > 1:
            now = self._clock()
            self._buckets.charge(network, now, (events - 1) * self._price_now(now))

    def _price_now(self, now: float) -> float:
        if now >= self._next_price_at:
            self._next_price_at = now + _PRICE_EVERY_S
            self._price = price(self._fullness())
        return self._price

    def _refused(self, reason: str, status: int, why: str, seconds: float) -> Refused:
        self._metrics.limited(reason)
        self._conditions.report("limited", reason, details.LIMITED[reason], lasts_ms=_LASTS_MS)
        return Refused(status, why, math.ceil(seconds))
