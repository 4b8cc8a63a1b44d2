"""The events of one request: each is judged and written by itself, all of them within one budget.

An event that is refused costs no other: neither one that is too large, nor one that leads to an error nobody foresaw.
"""

from dataclasses import replace
from typing import NamedTuple

from proxy.graph import payload
from proxy.model.event import Redaction
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.request import RefusedEvent
from proxy.rules import limits
from proxy.rules.effort import Parts
from proxy.rules.faults import fault
from proxy.rules.judge import Context, Enricher, Judged

# What queue or ledger note of an event beside its name, id and findings, at most: numbers, words, a pixel, lengths.
_FRAME = 100
# A digest of a person in hex, with quotes.
_PERSON = 34
_TOO_LARGE = f"size: too large, with the events before; accepted: {limits.RECORDS} bytes of records for a body"


class Written(NamedTuple):
    """What the events of a request come to."""

    records: list[Record]
    dropped: list[LedgerRow]
    unknown_pixels: int
    """How many events, for each pixel counted, the one row with this reason stands for."""
    refused: list[RefusedEvent]
    redactions: list[Redaction]
    faults: list[str]


class _Budget:
    """Writes events until what one request may write is used up."""

    def __init__(self) -> None:
        self._shared: dict[str, bytes] = {}
        self._left = limits.RECORDS

    def records(self, judged: Judged) -> list[Record] | None:
        """Return the records of an event, or None when they and its ledger rows are more than is left."""
        size, new, records = 0, {}, []
        for event in judged.events:
            alike = self._shared.get(event.pixel)
            if alike is None:
                alike = new[event.pixel] = payload.shared(event)
                size += len(alike) + _PERSON * len(event.person_digests) + _FRAME
            record = payload.record(event, alike)
            size += len(record.payload) + _noted(record)
            records.append(record)
        if judged.dropped:
            size += sum(map(_noted, judged.dropped))
        if size > self._left:
            return None
        self._left -= size
        if new:
            self._shared |= new
        return records


def written(context: Context) -> Parts[Written]:
    """Judge and write the hits of a visit, in order; pause after each part of ``limits.PART`` pairs."""
    enricher, budget = Enricher(context), _Budget()
    records: list[Record] = []
    dropped: list[LedgerRow] = []
    refused, faults = [], []
    foreign: LedgerRow | None = None
    unknown = part = 0
    for hit in context.visit.hits:
        if part > limits.PART:
            part = 0
            yield
        part += len(hit.pixels)
        try:
            judged = enricher.judge(hit)
            fresh = budget.records(judged)
        except Exception as error:  # noqa: BLE001 - whatever one event brought must not cost its neighbours
            refused.append(RefusedEvent(hit.place, hit.id, "cannot be read"))
            faults.append(fault(error))
            continue
        if fresh is None:
            refused.append(RefusedEvent(hit.place, hit.id, _TOO_LARGE))
            continue
        records += fresh
        dropped += judged.dropped
        foreign, unknown = foreign or judged.foreign, unknown + judged.unknown
    if foreign:
        dropped.insert(0, _standing_for(foreign, unknown))
    return Written(records, dropped, unknown, refused, enricher.redactions, faults)


def _standing_for(row: LedgerRow, events: int) -> LedgerRow:
    """Whoever makes up pixels shall not fill the ledger: one row stands for all, and says for how many."""
    return replace(row, findings=(f"events:{events}",)) if events > 1 else row


def _noted(what: Record | LedgerRow) -> int:
    """Return how many bytes that is, as JSON writes them, at most."""
    words = f"{what.name}{what.id}"
    size = (len(words) if words.isascii() else len(words.encode())) + words.count('"') + words.count("\\")
    return size + _FRAME + (sum([len(finding) + 3 for finding in what.findings]) if what.findings else 0)
