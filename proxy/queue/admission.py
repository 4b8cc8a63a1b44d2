"""Decides what of a group is stored, and how, once an engine knows its repeats and who is suppressed; pure.

A segment that was sealed before its group came to the engine is stored as it is; the positions of repeats are skipped.
The engine seals only what could not be sealed before: records whose person might have been suppressed, records that get
a finding because they contradict another visitor's, and records whose segment also holds one that is refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.queue.group import UNSEALED, Group, Member
from proxy.queue.order_copies import with_conflict_finding
from proxy.queue.past import UNSTORED, Past
from proxy.queue.sightings import forbid_sighting


def drop_reasons_of(
    group: Group, refusal: Callable[[Record], DropReason | None], *, is_clear: bool
) -> dict[int, DropReason]:
    """Return the records of a group that a suppression forbids to send, by their numbers in the group, with the reason.

    Args:
        group: What is to be stored.
        refusal: Returns why a record must not be sent, or None.
        is_clear: Whether nobody was suppressed since the group was made; then its sealed records are not checked again.
    """
    return {
        number: reason
        for number, member in enumerate(group.members)
        if not (is_clear and member.segment != UNSEALED) and (reason := refusal(member.record))
    }


def sightings_to_store(
    group: Group,
    refused: Mapping[int, DropReason],
    refusal: Callable[[Sighting], DropReason | None],
    *,
    is_clear: bool,
) -> Iterator[tuple[Sighting, bytes]]:
    """Yield the sightings of a group that are stored, each with its sealed bytes.

    The bytes are empty if the sighting is still to be sealed. Of a suppressed person only the refusal is stored
    (``forbid_sighting``), of an erased person nothing.

    Args:
        group: What is to be stored.
        refused: The result of ``drop_reasons_of``.
        refusal: Returns why the data of a sighting must not be stored, or None.
        is_clear: As for ``drop_reasons_of``.
    """
    reasons = {}
    for number, reason in refused.items():
        member = group.members[number]
        reasons[member.call, member.record.name, member.record.id] = reason
    for call, sighting, sealed in group.sightings:
        why = reasons.get((call, sighting.name, sighting.id))
        if not why and not (is_clear and sealed):
            why = refusal(sighting)
        if not why and sealed:
            yield sighting, sealed
        elif why is not DropReason.ERASED:
            word = sighting.forbidden or why
            yield (forbid_sighting(sighting, word) if word else sighting), b""


def records_to_seal(
    group: Group, admitted: Sequence[Member], known: Mapping[int, Past], spoiled: set[int]
) -> dict[tuple[str, int], list[Record]]:
    """Return the records that the engine must seal itself, by pixel and the moment they are due.

    Args:
        group: What is to be stored.
        admitted: Its members that no suppression speaks against.
        known: What is known of these members, by their positions in ``admitted``.
        spoiled: Numbers of the segments that cannot be stored as they are, and ``UNSEALED``.
    """
    lanes: dict[tuple[str, int], list[Record]] = {}
    for number, member in enumerate(admitted):
        past = known.get(number)
        if past is Past.CONFLICT or (member.segment in spoiled and past not in UNSTORED):
            lane = (member.record.pixel, max(group.calls[member.call].not_before, member.record.not_before))
            record = with_conflict_finding(member.record) if past is Past.CONFLICT else member.record
            lanes.setdefault(lane, []).append(record)
    return lanes


def positions_to_skip(pasts: Sequence[tuple[Member, Past]]) -> dict[int, list[int]]:
    """Return by segment number the positions of the records that are not stored with the segment."""
    skip: dict[int, list[int]] = {}
    for member, past in pasts:
        if past is not Past.REUSED:
            skip.setdefault(member.segment, []).append(member.position)
    return skip
