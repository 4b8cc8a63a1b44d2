"""Makes decisions durable before they are answered; in between, ``StorageNotifier`` tells the rest of the proxy."""

import time
from collections.abc import Awaitable, Callable, Sequence

from proxy.edge.admission import Admission
from proxy.edge.answers import refusal
from proxy.edge.exchange import HttpAnswer
from proxy.edge.storage_notifier import StorageNotifier
from proxy.model.decision import Decision
from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Intake, QueueError, Stored
from proxy.rules.fairness import ClientNetwork
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics

_RETRY_SECONDS = 5
# The most records of one append, and bytes of their payloads: encrypting them takes some 0.5 ms, and storing them 1 ms.
_AT_ONCE, _BYTES_AT_ONCE = 32, 64 * 1024


class DecisionStore:
    """Stores what the rules decided of requests."""

    def __init__(
        self,
        queue: Intake,
        *,
        admission: Admission,
        notifier: StorageNotifier,
        metrics: Metrics,
        conditions: Conditions,
    ) -> None:
        """Store into a queue.

        Args:
            queue: Where records become durable.
            admission: Where the events of a request are charged to its client.
            notifier: Tells the other parts of the proxy what was stored.
            metrics: Where the time of failed commits and the changes of consent are counted.
            conditions: Where the operator is told of troubles.
        """
        self._queue = queue
        self._admission = admission
        self._notifier = notifier
        self._metrics = metrics
        self._conditions = conditions
        self._faults = FaultReporter(conditions, metrics)

    async def store_and_answer(
        self, network: ClientNetwork, decision: Decision, content: HttpAnswer, *, at: int
    ) -> HttpAnswer:
        """Return the answer to a request, with its cookies, after the records are durable; 503 if they are not.

        Args:
            network: The client that asked.
            decision: What the rules decided.
            content: The door's answer to that.
            at: When the request was read: server clock in milliseconds.
        """
        if len(decision.records) + len(decision.dropped) > 1:
            events = {(record.name, record.id) for record in decision.records}
            self._admission.charge(network, len(events | {(row.name, row.id) for row in decision.dropped}))
        if not await self.try_store(decision, at):
            return refusal(503, "cannot be stored now; try again", retry_seconds=_RETRY_SECONDS)
        content.cookies = decision.cookies
        content.headers["Cache-Control"] = "no-store"
        return content

    async def try_store(
        self, decision: Decision, at: int, *, turn: Callable[[], Awaitable[None]] | None = None
    ) -> bool:
        """Make what was decided of a request durable; tell whether all of it is.

        When the queue fails within a large request, the client sends the request again, and the events that were stored
        already are recognised by their ids.

        Args:
            decision: What the rules decided.
            at: When the request was read: server clock in milliseconds.
            turn: Awaited between parts of a large request.
        """
        stored, seconds = Stored(), None
        try:
            if decision.withdrawn or decision.granted:
                await self._store_consent(decision, at)
            if decision.records or decision.sightings:
                stored, seconds = await self._timed(self._stored(decision, turn))
        except QueueError as error:
            # Cleared by the queue, or by the next readiness check that finds the queue working.
            self._conditions.report("queue", detail=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - not the body's fault, so the tag shall try again
            self._faults.report(error, lost="events are not stored, and pages try again")
            return False
        self._notifier.notify(decision, stored, seconds, at)
        return True

    async def _timed(self, storing: Awaitable[Stored]) -> tuple[Stored, float]:
        """Store, and return also how many seconds that took; when storing fails, only count the time in the metrics."""
        started = time.perf_counter()
        try:
            return await storing, time.perf_counter() - started
        except BaseException:
            self._metrics.committed(time.perf_counter() - started)
            raise

    def _stored(self, decision: Decision, turn: Callable[[], Awaitable[None]] | None) -> Awaitable[Stored]:
        records, sightings = decision.records, decision.sightings
        if sightings or len(records) > _AT_ONCE or turn:
            return self._stored_in_parts(records, sightings, turn)
        return self._queue.append(records)

    async def _stored_in_parts(
        self, records: Sequence[Record], sightings: Sequence[Sighting], turn: Callable[[], Awaitable[None]] | None
    ) -> Stored:
        """Append a large request in parts: encrypting a thousand records at once kept visitors waiting.

        Args:
            records: Empty when all events of the request were dropped.
            sightings: Stored with the first part, so that no event is stored before its sighting.
            turn: Awaited between two parts.
        """
        parts = []
        first, *others = _parts(records) or [records]
        try:
            parts.append(await self._queue.append(first, sightings=sightings))
            for part in others:
                if turn:
                    await turn()
                parts.append(await self._queue.append(part))
        finally:
            self._notifier.wake(records)  # what was stored before a failure shall not wait for the next request
        self._metrics.sightings(sightings)
        return Stored(
            duplicates=tuple(record for part in parts for record in part.duplicates),
            reused=sum(part.reused for part in parts),
            refused=tuple(refusal for part in parts for refusal in part.refused),
            conflicts=tuple(record for part in parts for record in part.conflicts),
        )

    async def _store_consent(self, decision: Decision, at: int) -> None:
        kind = SuppressionKind.WITHDRAWAL
        if decision.withdrawn:
            await self._queue.suppress(decision.withdrawn, kind, at)
            self._metrics.suppressed(kind)
        if decision.granted and (lifted := await self._queue.lift(decision.granted, [kind], at)):
            self._metrics.lifted(lifted)


def _parts(records: Sequence[Record]) -> list[Sequence[Record]]:
    """Split records into the parts that are appended one by one, each of at least one record."""
    parts: list[Sequence[Record]] = []
    start = size = 0
    for at, record in enumerate(records):
        if at > start and (at - start == _AT_ONCE or size + len(record.payload) > _BYTES_AT_ONCE):
            parts.append(records[start:at])
            start, size = at, 0
        size += len(record.payload)
    return [*parts, records[start:]] if records else parts
