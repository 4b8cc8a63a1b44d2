"""What the back knows of its fronts: which are connected, their counters and their conditions."""

from collections import Counter, defaultdict

from proxy.model import condition_details as details
from proxy.model.condition import ConditionCode
from proxy.queue.remote.messages import FrontReport
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.workers.relay import LOST_NOTES

_LASTS_MS = 60 * 60_000


class ConnectedFronts:
    """Implements ``FrontWatch``; as a readiness check it reports when a front is missing."""

    def __init__(self, expected: int, metrics: Metrics, conditions: Conditions) -> None:
        """Begin with no front.

        Args:
            expected: How many fronts there should be.
            metrics: Where their counts are added up.
            conditions: Where their conditions appear.
        """
        self._expected = expected
        self._metrics = metrics
        self._conditions = conditions
        self._faults = FaultReporter(conditions, metrics)
        self._connections: Counter[int] = Counter()
        self._lives: dict[int, tuple[bytes, dict[tuple[str, tuple[str, ...]], float]]] = {}
        """By front: the id of its process (``FrontReport.life``), and the last known value of each of its counters."""
        self._lasting: defaultdict[int, set[tuple[ConditionCode, str]]] = defaultdict(set)

    def joined(self, front: int) -> None:
        """See ``FrontWatch``."""
        self._connections[front] += 1
        if not self._missing():
            self._conditions.clear("workers")

    def left(self, front: int) -> None:
        """See ``FrontWatch``; clears the lasting conditions of a front that is gone, unless another front has them."""
        self._connections[front] -= 1
        if self._connections[front] <= 0:
            del self._connections[front]
            for code, subject in self._lasting.pop(front, ()):
                self._clear(code, subject)

    def report(self, front: int, report: FrontReport) -> None:
        """See ``FrontWatch``."""
        for code, subject, detail, lasts_ms in report.reported:
            self._conditions.report(code, subject, detail, lasts_ms=lasts_ms)
            if lasts_ms is None:
                self._lasting[front].add((code, subject))
        for code, subject in report.cleared:
            self._lasting[front].discard((code, subject))
            self._clear(code, subject)
        life, known = self._lives.get(front, (b"", {}))
        if life != report.life:
            self._lives[front] = report.life, (known := {})
        for name, labels, since, now in report.counts:
            by = now - max(since, known.get((name, labels), since))
            known[name, labels] = now
            self._grow(name, labels, by)

    def _grow(self, name: str, labels: tuple[str, ...], by: float) -> None:
        if name != LOST_NOTES:
            self._metrics.counters.grow(name, labels, by)
        elif by > 0:
            self._metrics.lost_notes(int(by))
            self._conditions.report("ledger_incomplete", "fronts", details.ROWS_TOO_FAST, lasts_ms=_LASTS_MS)

    def refused(self, why: str) -> None:
        """See ``FrontWatch``; the condition is cleared by the next readiness check that finds the queue working."""
        self._conditions.report("queue", detail=why)

    def fault(self, error: Exception) -> None:
        """See ``FrontWatch``."""
        self._faults.report(error, lost="a front was hung up on, and pages try again")

    async def check(self) -> None:
        """Report ``workers`` while a front is missing; one that was restarted between two checks is not reported."""
        if self._missing():
            detail = details.fronts_connected(len(self._connections), self._expected)
            self._conditions.report("workers", detail=detail)

    def _missing(self) -> bool:
        return len(self._connections) < self._expected

    def _clear(self, code: ConditionCode, subject: str) -> None:
        if not any((code, subject) in lasting for lasting in self._lasting.values()):
            self._conditions.clear(code, subject)
