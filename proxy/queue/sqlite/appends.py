"""Acknowledgement: a group of appends is stored, without its repeats and without suppressed people."""

from collections.abc import Iterator, Mapping, Sequence

from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.queue.contract import Remainder, Stored
from proxy.queue.group import OPEN, Group, Member
from proxy.queue.sightings import forbidden
from proxy.queue.sqlite.orders import doubted
from proxy.queue.sqlite.seen import UNSTORED, Past
from proxy.queue.sqlite.tables import Tables

_PLAIN = Stored()
_CONTRADICTED = (Past.CONFLICT, Past.CONTRADICTION)


class Appends:
    """Stores groups within transactions it does not start.

    A segment that was sealed before its group came here is stored as it is; the positions of repeats are skipped.
    Sealed here is only what could not be decided before: records whose person might have been suppressed, those that
    get a finding since they contradict another visitor's, and what shares a segment with somebody suppressed meanwhile.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def store(self, group: Group) -> list[Stored]:
        """Store a group; return what became of each of its appends."""
        now = self._tables.now()
        self._tables.seen.turn(now)
        refused = self._refused(group)
        admitted = [member for number, member in enumerate(group.members) if number not in refused]
        known = self._tables.seen.meet(admitted, now)
        for number, past in self._tables.orders.meet(admitted, known, now).items():
            if past is Past.TAKEOVER:
                known.pop(number, None)
            else:
                known[number] = Past.CONTRADICTION if known.get(number) in _CONTRADICTED else past
        pasts = [(admitted[number], past) for number, past in known.items()]
        spoiled = {OPEN} | {group.members[number].segment for number in refused}
        self._insert_open(group, admitted, known, spoiled)
        self._insert_sealed(group, pasts, spoiled)
        if group.sightings:
            self._tables.sightings.leave(self._left(group, refused))
        return _answers(group, refused, pasts)

    def _refused(self, group: Group) -> dict[int, DropReason]:
        """Return which of the group's records a suppression speaks against, and why."""
        sealed_are_clear = group.suppressions_version == self._tables.suppressions.version
        return {
            number: reason
            for number, member in enumerate(group.members)
            if not (sealed_are_clear and member.segment != OPEN)
            and (reason := self._tables.suppressions.refusal(member.record))
        }

    def _left(self, group: Group, refused: Mapping[int, DropReason]) -> Iterator[tuple[Sighting, bytes]]:
        """Yield what stays of the sightings, sealed: of those who refuse their refusal, of the erased nothing."""
        tables, reasons = self._tables, {}
        for number, reason in refused.items():
            member = group.members[number]
            reasons[member.call, member.record.name, member.record.id] = reason
        is_clear = group.suppressions_version == tables.suppressions.version
        for call, sighting, sealed in group.sightings:
            refusal = reasons.get((call, sighting.name, sighting.id))
            if not refusal and not (is_clear and sealed):
                refusal = tables.suppressions.refusal_of(sighting.person_digests, sighting.at)
            if not refusal and sealed:
                yield sighting, sealed
            elif refusal is not DropReason.ERASED:
                word = sighting.forbidden or refusal
                left = forbidden(sighting, word) if word else sighting
                yield left, tables.sightings.seal(left)

    def _insert_open(
        self, group: Group, admitted: Sequence[Member], known: Mapping[int, Past], spoiled: set[int]
    ) -> None:
        """Seal and store what is in no segment that can be stored as it is."""
        lanes: dict[tuple[str, int], list[Record]] = {}
        for number, member in enumerate(admitted):
            past = known.get(number)
            if past is Past.CONFLICT or (member.segment in spoiled and past not in UNSTORED):
                lane = (member.record.pixel, max(group.calls[member.call].not_before, member.record.not_before))
                record = doubted(member.record) if past is Past.CONFLICT else member.record
                lanes.setdefault(lane, []).append(record)
        for (pixel, not_before), records in lanes.items():
            self._tables.segments.insert(Remainder(pixel, 0, 0, tuple(records)), not_before)

    def _insert_sealed(self, group: Group, pasts: Sequence[tuple[Member, Past]], spoiled: set[int]) -> None:
        skip: dict[int, list[int]] = {}
        for member, past in pasts:
            if past is not Past.REUSED:
                skip.setdefault(member.segment, []).append(member.position)
        self._tables.segments.insert_sealed(
            [(segment, skip.get(number, ())) for number, segment in enumerate(group.segments) if number not in spoiled]
        )


def _answers(group: Group, refused: Mapping[int, DropReason], pasts: Sequence[tuple[Member, Past]]) -> list[Stored]:
    """Return what became of each append; most brought nothing but new events."""
    found: dict[int, dict[Past, list[Record]]] = {}
    for member, past in pasts:
        told = Past.REPEAT if past is Past.COPY else past
        found.setdefault(member.call, {}).setdefault(told, []).append(member.record)
    refusals: dict[int, list[tuple[Record, DropReason]]] = {}
    for number, reason in refused.items():
        member = group.members[number]
        refusals.setdefault(member.call, []).append((member.record, reason))
    answers = [_PLAIN] * len(group.calls)
    for call in found.keys() | refusals.keys():
        answers[call] = _answer(found.get(call, {}), refusals.get(call, ()))
    return answers


def _answer(found: Mapping[Past, Sequence[Record]], refused: Sequence[tuple[Record, DropReason]]) -> Stored:
    conflicts = tuple(found.get(Past.CONFLICT, ()))
    reused = len(found.get(Past.REUSED, ())) + len(conflicts)
    repeats = (*found.get(Past.REPEAT, ()), *map(doubted, found.get(Past.CONTRADICTION, ())))
    return Stored(repeats, reused, tuple(refused), conflicts)
