"""The answers that the callers of a group get to their appends."""

from collections.abc import Mapping, Sequence

from proxy.model.event import DropReason
from proxy.model.record import Record
from proxy.queue.contract import Stored
from proxy.queue.group import Group, Member
from proxy.queue.order_copies import with_conflict_finding, with_server_finding
from proxy.queue.past import Past

_PLAIN = Stored()


def answers(group: Group, refused: Mapping[int, DropReason], pasts: Sequence[tuple[Member, Past]]) -> list[Stored]:
    """Return what became of each append; most brought nothing but new events.

    Args:
        group: The appends.
        refused: The numbers of records that a suppression speaks against, and why.
        pasts: Records that were not new, each with what was known of it.
    """
    if not refused and not pasts:
        return [_PLAIN] * len(group.calls)
    found: dict[int, dict[Past, list[Record]]] = {}
    for member, past in pasts:
        told = Past.REPEAT if past is Past.COPY else past
        found.setdefault(member.call, {}).setdefault(told, []).append(member.record)
    refusals: dict[int, list[tuple[Record, DropReason]]] = {}
    for number, reason in refused.items():
        member = group.members[number]
        refusals.setdefault(member.call, []).append((member.record, reason))
    told_all = [_PLAIN] * len(group.calls)
    for call in found.keys() | refusals.keys():
        told_all[call] = _answer(found.get(call, {}), refusals.get(call, ()))
    return told_all


def _answer(found: Mapping[Past, Sequence[Record]], refused: Sequence[tuple[Record, DropReason]]) -> Stored:
    conflicts = tuple(found.get(Past.CONFLICT, ()))
    reused = len(found.get(Past.REUSED, ())) + len(conflicts)
    repeats = (
        *found.get(Past.REPEAT, ()),
        *map(with_conflict_finding, found.get(Past.CONTRADICTION, ())),
        *map(with_server_finding, found.get(Past.SERVED, ())),
        *map(with_server_finding, map(with_conflict_finding, found.get(Past.SERVED_OTHERWISE, ()))),
    )
    return Stored(repeats, reused, tuple(refused), conflicts)
