"""Tells lanes, ledger, metrics and conditions what was stored, after the commit and before the answer."""

from collections.abc import Callable, Mapping, Sequence

from proxy.edge.reused_ids import ReusedIds
from proxy.model import condition_details as details
from proxy.model.decision import Decision
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.contract import Intake, Stored, dropped_row, duplicate_row
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics


class StorageNotifier:
    """Tells what became of the events of a request."""

    def __init__(
        self,
        queue: Intake,
        *,
        metrics: Metrics,
        conditions: Conditions,
        reused_ids: ReusedIds,
        wakes: Mapping[str, Callable[[], None]],
    ) -> None:
        """Store who is told.

        Args:
            queue: Keeps the ledger.
            metrics: Where decisions are counted.
            conditions: Where the operator is told of troubles.
            reused_ids: Counts ids that several visitors brought.
            wakes: By pixel, the function that tells its lane that there is something to deliver.
        """
        self._queue = queue
        self._metrics = metrics
        self._conditions = conditions
        self._reused_ids = reused_ids
        self._faults = FaultReporter(conditions, metrics)
        self._wakes = wakes

    def wake(self, records: Sequence[Record]) -> None:
        """Wake the lanes of these records."""
        for pixel in {record.pixel for record in records}:
            if wake := self._wakes.get(pixel):
                wake()

    def notify(self, decision: Decision, stored: Stored, seconds: float | None, at: int) -> None:
        """Tell all of them. An error in that is reported as a fault of ours, not raised: the events are stored already.

        Args:
            decision: What the rules decided.
            stored: The result of storing the decision.
            seconds: How long that took; None where there was nothing to store.
            at: When the request was read: server clock in milliseconds.
        """
        try:
            self._notify(decision, stored, seconds, at)
        except Exception as error:  # noqa: BLE001 - the answer says that it was stored
            self._faults.report(error, lost="ledger and metrics lack what was stored")

    def _notify(self, decision: Decision, stored: Stored, seconds: float | None, at: int) -> None:
        self.wake(decision.records)
        duplicates = tuple(duplicate_row(record, at) for record in stored.duplicates)
        refused = tuple(dropped_row(record, reason, at) for record, reason in stored.refused)
        rows = (*decision.dropped, *duplicates, *refused)
        if rows or decision.copy_updates:
            self._queue.note(rows, decision.copy_updates, decision.pixels, decision.visitors)
        self._metrics.decision(decision, stored, seconds)
        if decision.records:
            self._reused_ids.note(decision.records[0].facts.site, len(decision.records), stored.reused, at)
        if decision.faults:
            self._faults.report_places(decision.faults, lost="what led to it was refused, its neighbours were stored")
        for record in stored.conflicts:
            self._conditions.report("order_id_conflict", record.pixel, details.IDS_IN_CONFLICT, lasts_ms=DAY_MS)
        if decision.untrusted_forwarding:
            self._conditions.report("untrusted_forwarding", detail=details.UNTRUSTED_PROXY)
