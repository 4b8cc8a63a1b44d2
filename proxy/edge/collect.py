"""Hits come in at the collect address and the image, and are answered once they are durable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from proxy.config.schema import Site
from proxy.edge.admission import Admission
from proxy.edge.answers import GIF, JSON, refusal
from proxy.edge.arrival import Arrival
from proxy.edge.turns import Turns
from proxy.model.decision import Decision
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.request import BrowserRequest
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.contract import Intake, QueueError, Stored, dropped_row
from proxy.rules.browser import ingest_image, ingest_parts
from proxy.rules.fairness import Party
from proxy.rules.limits import BODY
from proxy.rules.policy import Policy
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics

_RETRY_SECONDS = 5
_CONFLICT = "two visitors brought a Purchase under one id with different values"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request at one door of one site."""

    request: web.Request
    arrival: Arrival
    site: Site
    who: Party
    is_ours: bool
    """The page that asks is one of the site."""


class Collector:
    """Takes hits of pages of the site."""

    def __init__(  # noqa: PLR0913 - its collaborators, clock and chance
        self,
        policies: Mapping[str, Policy],
        *,
        queue: Intake,
        admission: Admission,
        metrics: Metrics,
        conditions: Conditions,
        wake: Callable[[set[str]], None],
        now: Callable[[], int],
        entropy: Callable[[], int],
    ) -> None:
        self.turns = Turns()
        self._policies = policies
        self._queue = queue
        self._admission = admission
        self._metrics = metrics
        self._conditions = conditions
        self._faults = FaultReporter(conditions, metrics)
        self._wake = wake
        self._now = now
        self._entropy = entropy

    async def collect(self, visit: Visit) -> web.Response:
        """Answer what the tag posts."""
        if visit.request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            return refusal(415, "content-encoding: accepted: identity")
        facts = await self.facts(visit)
        parts = ingest_parts(facts, self._policies[visit.site.name], visit.arrival.client)
        outcome = await self.turns.work(visit.who, parts)
        kind = JSON if outcome.body else None
        answer = web.Response(status=outcome.status, body=outcome.body, content_type=kind)
        return await self._store(visit, outcome, answer)

    async def image(self, visit: Visit) -> web.Response:
        """Answer with the image, which tells of a visit without scripts."""
        outcome = ingest_image(await self.facts(visit), self._policies[visit.site.name], visit.arrival.client)
        image = web.Response(body=GIF, content_type="image/gif")
        return await self._store(visit, outcome, refusal(400, "cannot be read") if outcome.faults else image)

    async def facts(self, visit: Visit) -> BrowserRequest:
        """Read the body, wait for the client's turn, then return what the rules judge.

        Raises:
            web.HTTPRequestEntityTooLarge: when the body is longer than accepted.
            web.HTTPRequestTimeout: when it comes too slowly.
        """
        if visit.arrival.size > BODY:
            raise web.HTTPRequestEntityTooLarge(BODY)
        body = await visit.request.read()
        await self.turns.mine(visit.who)
        return visit.arrival.facts(body, now=self._now(), entropy=self._entropy())

    async def _store(self, visit: Visit, outcome: Decision, content: web.Response) -> web.Response:
        """Answer only after the records are durable."""
        events = {(record.name, record.id) for record in outcome.records}
        self._admission.charge(visit.who, len(events | {(row.name, row.id) for row in outcome.dropped}))
        try:
            await self._store_consent(outcome)
            stored = await self._queue.append(outcome.records) if outcome.records else Stored()
        except QueueError as error:
            # Cleared by the queue, or by whoever next asks for readiness and finds it well.
            self._conditions.report("queue", detail=str(error))
            return _not_stored()
        except Exception as error:  # noqa: BLE001 - not the body's fault, so the tag shall try again
            self._faults.report(error, lost="events are not stored, and pages try again")
            return _not_stored()
        try:
            self._after(outcome, stored)
        except Exception as error:  # noqa: BLE001 - what was stored stays stored, and the answer says so
            self._faults.report(error, lost="ledger and metrics lack what was stored")
        for cookie in outcome.cookies:
            content.headers.add(hdrs.SET_COOKIE, cookie)
        content.headers[hdrs.CACHE_CONTROL] = "no-store"
        return content

    async def _store_consent(self, outcome: Decision) -> None:
        kind, now = SuppressionKind.WITHDRAWAL, self._now()
        if outcome.withdrawn:
            await self._queue.suppress(outcome.withdrawn, kind, now)
            self._metrics.suppressed(kind)
        if outcome.granted:
            self._metrics.lifted(await self._queue.lift(outcome.granted, [kind], now))

    def _after(self, outcome: Decision, stored: Stored) -> None:
        self._wake({record.pixel for record in outcome.records})
        now = self._now()
        duplicates = tuple(_duplicate_row(record, now) for record in stored.duplicates)
        refused = tuple(dropped_row(record, reason, now) for record, reason in stored.refused)
        rows = (*outcome.dropped, *duplicates, *refused)
        if rows or outcome.copy_updates:
            self._queue.note(rows, outcome.copy_updates, outcome.pixels, outcome.visitors)
        self._metrics.decision(outcome, stored)
        self._faults.report_places(outcome.faults, lost="what led to it was refused, its neighbours were stored")
        for record in stored.conflicts:
            self._conditions.report("order_id_conflict", record.pixel, _CONFLICT, lasts_ms=DAY_MS)
        if outcome.misdirected:
            self._conditions.report("untrusted_forwarding", detail="is server.trusted_proxies complete?")


def _not_stored() -> web.Response:
    return refusal(503, "cannot be stored now; try again", retry_seconds=_RETRY_SECONDS)


def _duplicate_row(record: Record, now: int) -> LedgerRow:
    identity = (record.pixel, record.name, record.id, record.time_s)
    facts = (now, *identity, Status.DUPLICATE, "", record.browser_copy)
    return LedgerRow(*facts, findings=record.findings, visitor=record.visitor)
