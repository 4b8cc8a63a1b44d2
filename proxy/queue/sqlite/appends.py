"""Acknowledgement: a group of appends is stored, without its repeats and without suppressed people."""

from collections.abc import Mapping, Sequence

from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.queue.admission import drop_reasons_of, positions_to_skip, records_to_seal, sightings_to_store
from proxy.queue.answers import answers
from proxy.queue.contract import Remainder, Stored
from proxy.queue.group import UNSEALED, Group, Member
from proxy.queue.order_copies import merge_pasts
from proxy.queue.past import Past
from proxy.queue.sqlite.tables import Tables


class Appends:
    """Stores groups within transactions it does not start; see admission.py."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def store(self, group: Group) -> list[Stored]:
        """Store a group; return what became of each of its appends."""
        now, suppressions = self._tables.now(), self._tables.suppressions
        self._tables.seen.rotate_tables(now)
        is_clear = group.suppressions_version == suppressions.version
        refused = drop_reasons_of(group, suppressions.refusal, is_clear=is_clear)
        admitted = [member for number, member in enumerate(group.members) if number not in refused]
        known = self._tables.seen.check_and_remember(admitted, now)
        known = merge_pasts(known, self._tables.orders.check_and_remember(admitted, known, now))
        pasts = [(admitted[number], past) for number, past in known.items()]
        spoiled = {UNSEALED} | {group.members[number].segment for number in refused}
        self._insert_unsealed(group, admitted, known, spoiled)
        self._insert_sealed(group, pasts, spoiled)
        if group.sightings:
            self._store_sightings(group, refused, is_clear=is_clear)
        return answers(group, refused, pasts)

    def _store_sightings(self, group: Group, refused: Mapping[int, DropReason], *, is_clear: bool) -> None:
        sightings = self._tables.sightings
        left = sightings_to_store(group, refused, self._refusal, is_clear=is_clear)
        sightings.store((sighting, sealed or sightings.seal(sighting)) for sighting, sealed in left)

    def _refusal(self, sighting: Sighting) -> DropReason | None:
        return self._tables.suppressions.refusal_of(sighting.person_digests, sighting.at)

    def _insert_unsealed(
        self, group: Group, admitted: Sequence[Member], known: Mapping[int, Past], spoiled: set[int]
    ) -> None:
        """Seal and store the records that are in no segment that can be stored as it is; see ``records_to_seal``."""
        for (pixel, not_before), records in records_to_seal(group, admitted, known, spoiled).items():
            self._tables.segments.insert(Remainder(pixel, 0, 0, tuple(records)), not_before)

    def _insert_sealed(self, group: Group, pasts: Sequence[tuple[Member, Past]], spoiled: set[int]) -> None:
        skip = positions_to_skip(pasts)
        self._tables.segments.insert_sealed(
            [(segment, skip.get(number, ())) for number, segment in enumerate(group.segments) if number not in spoiled]
        )
