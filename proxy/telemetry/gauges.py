"""The gauges: the figures of the queue, of the board and of the process at the moment of a request for metrics."""

from collections import Counter
from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from proxy.model.condition import Condition, ConditionCode
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Stats


class Gauges:
    """All gauges; their values are set just before they are rendered."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        """Add the gauges to a registry; ``version`` is that of the program."""
        self._waiting = Gauge("capi_proxy_waiting_events", "Events that wait", ["pixel"], registry=registry)
        self._held = Gauge(
            "capi_proxy_held_events", "Events that wait until they are due", ["pixel"], registry=registry
        )
        self._suspects = Gauge(
            "capi_proxy_suspect_events",
            "Events that wait because Graph refused a batch with them",
            ["pixel"],
            registry=registry,
        )
        self._withheld = Gauge(
            "capi_proxy_withheld_events",
            "Events since start that waited and were dropped, by why",
            ["reason"],
            registry=registry,
        )
        self._suppressions = Gauge(
            "capi_proxy_suppressions", "Opt-outs, withdrawals and erasures remembered", ["kind"], registry=registry
        )
        self._dead = Gauge("capi_proxy_dead_letters", "Dead letters kept", registry=registry)
        self._lost_notes = Gauge(
            "capi_proxy_lost_ledger_rows",
            "Rows and updates of browser copies since start that were left out of the ledger",
            registry=registry,
        )
        self._foreign_copy_updates = Gauge(
            "capi_proxy_foreign_copy_updates",
            "Updates since start of browser copies of another visitor's events, which were ignored",
            registry=registry,
        )

        self._spooled = Gauge("capi_proxy_spooled_events", "Events that the shared database lacks", registry=registry)
        info = Gauge("capi_proxy_info", "Always 1; the version is in the label", ["version"], registry=registry)
        info.labels(version).set(1)
        ProcessCollector(registry=registry)
        self._conditions = Gauge(
            "capi_proxy_conditions", "Conditions that stand at this moment", ["code"], registry=registry
        )

    def set(self, stats: Stats, conditions: Iterable[Condition], *, lost_in_fronts: int) -> None:
        """Set all gauges to the figures of this moment.

        Args:
            stats: The figures of the queue.
            conditions: The conditions that stand on the board.
            lost_in_fronts: Ledger rows and updates that were lost before they reached the queue.
        """
        self._waiting.clear()
        for pixel, events in stats.waiting.items():
            self._waiting.labels(pixel).set(events)
        self._held.clear()
        self._suspects.clear()
        # Zeros too: Prometheus cannot subtract a series that is missing.
        for pixel in stats.waiting.keys() | stats.held.keys() | stats.suspects.keys():
            self._held.labels(pixel).set(stats.held.get(pixel, 0))
            self._suspects.labels(pixel).set(stats.suspects.get(pixel, 0))
        for reason, events in stats.withheld.items():
            self._withheld.labels(reason).set(events)
        for kind in SuppressionKind:
            self._suppressions.labels(kind).set(stats.suppressions.get(kind, 0))
        self._dead.set(stats.dead)
        self._lost_notes.set(stats.lost_notes + lost_in_fronts)
        self._foreign_copy_updates.set(stats.foreign_updates)
        self._spooled.set(stats.spooled)
        codes = Counter(condition.code for condition in conditions)
        for code in get_args(ConditionCode):
            self._conditions.labels(code).set(codes[code])
