"""What of a group is stored, and how, once an engine knows its repeats and who is suppressed; pure.

A segment that was sealed before its group came to the engine is stored as it is; the positions of repeats are skipped.
Sealed later is only what could not be decided before: records whose person might have been suppressed, those that get a
finding since they contradict another visitor's, and what shares a segment with somebody suppressed meanwhile.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.queue.group import OPEN, Group, Member
from proxy.queue.order_copies import doubted
from proxy.queue.past import UNSTORED, Past
from proxy.queue.sightings import forbidden


def refused_of(
    group: Group, refusal: Callable[[Record], DropReason | None], *, is_clear: bool
) -> dict[int, DropReason]:
    """Return which of a group's records a suppression speaks against, and why.

    Args:
        group: What is to be stored.
        refusal: Says what speaks against a record.
        is_clear: Whether nobody was suppressed since the group was made, so that what it sealed needs no look.
    """
    return {
        number: reason
        for number, member in enumerate(group.members)
        if not (is_clear and member.segment != OPEN) and (reason := refusal(member.record))
    }


def sightings_left(
    group: Group,
    refused: Mapping[int, DropReason],
    refusal: Callable[[Sighting], DropReason | None],
    *,
    is_clear: bool,
) -> Iterator[tuple[Sighting, bytes]]:
    """Yield what stays of a group's sightings: of those who refuse their refusal, of the erased nothing.

    Each sealed, or with empty bytes where that is still to be done.

    Args:
        group: What is to be stored.
        refused: As of ``refused_of``.
        refusal: Says what speaks against a sighting.
        is_clear: As for ``refused_of``.
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
            yield (forbidden(sighting, word) if word else sighting), b""


def to_seal(
    group: Group, admitted: Sequence[Member], known: Mapping[int, Past], spoiled: set[int]
) -> dict[tuple[str, int], list[Record]]:
    """Return the records that are in no segment that can be stored as it is, by pixel and the moment they are due.

    Args:
        group: What is to be stored.
        admitted: Its members that no suppression speaks against.
        known: What is known of them.
        spoiled: Segments that cannot be stored as they are; ``OPEN`` among them.
    """
    lanes: dict[tuple[str, int], list[Record]] = {}
    for number, member in enumerate(admitted):
        past = known.get(number)
        if past is Past.CONFLICT or (member.segment in spoiled and past not in UNSTORED):
            lane = (member.record.pixel, max(group.calls[member.call].not_before, member.record.not_before))
            record = doubted(member.record) if past is Past.CONFLICT else member.record
            lanes.setdefault(lane, []).append(record)
    return lanes


def skipped(pasts: Sequence[tuple[Member, Past]]) -> dict[int, list[int]]:
    """Return by segment the positions of records that are not stored with it."""
    skip: dict[int, list[int]] = {}
    for member, past in pasts:
        if past is not Past.REUSED:
            skip.setdefault(member.segment, []).append(member.position)
    return skip
