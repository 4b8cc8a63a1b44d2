"""What the duplicate memory says of a group's events, once its tables were asked; pure."""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from proxy.queue.group import Member
from proxy.queue.keys import PREFIX, server_key

BY_THIS, BY_SERVER = 1, 2
"""Bits that say who brought an event before: this visitor, a server; 0 if only other visitors did, 3 if both did."""


class Past(Enum):
    """What the memory says of an event that it knows."""

    REUSED = 1
    """Another visitor brought an event with this id before; this one is stored all the same."""
    REPEAT = 2
    """The event was brought before; it is not stored again."""
    CONFLICT = 3
    """As REUSED, but the other visitor's event has another value."""
    CONTRADICTION = 4
    """As REPEAT, where a server's event and a page's copy of it have different values."""
    COPY = 5
    """As REPEAT, of a server's event that so far only pages brought."""
    TAKEOVER = 6
    """Of a server's event: it is new, and takes the place of pages' copies that are not sent yet; see orders.py."""
    SERVED = 7
    """As REPEAT, of a page's event that a server brought before; its page brings it now for the first time, as far as
    is remembered."""
    SERVED_OTHERWISE = 8
    """As SERVED, but its value differs."""


UNSTORED = (Past.REPEAT, Past.CONTRADICTION, Past.COPY, Past.SERVED, Past.SERVED_OTHERWISE)
"""Those that mean that the event is not stored."""


class EventClassification(NamedTuple):
    """What is known of a group's events, and what is to be remembered of them."""

    pasts: dict[int, Past]
    """By their numbers in the group; those that are new are left out."""
    visits: dict[bytes, bytes]
    """The keys to be remembered, each with its worth."""


def classify_events(
    members: Sequence[Member], stored_before: Mapping[bytes, int], contradicted: Collection[bytes]
) -> EventClassification:
    """Return what is known of the events of a group, given what is stored and the events before each in the group.

    Args:
        members: The group's records.
        stored_before: The keys of events that somebody brought before, each with the bits of who did.
        contradicted: The Purchases that somebody brought before with another worth: for each its key, followed by the
            worth it has in this group.
    """
    group: dict[bytes, dict[bytes, bytes]] = {}
    pasts: dict[int, Past] = {}
    for number, member in enumerate(members):
        key, worth = member.key, member.record.worth
        by_whom, brought = stored_before.get(key), group.setdefault(key[:PREFIX], {})
        if (by_whom or 0) & BY_THIS or key in brought:
            pasts[number] = Past.REPEAT
            continue
        if by_whom is not None or brought:
            pasts[number] = _other_past(member, by_whom or 0, brought, contradicted)
        # A repeat by somebody else is remembered too: later updates of its browser copy, and the events of further
        # visitors, are looked up there.
        brought[key] = worth
    return EventClassification(pasts, {key: worth for brought in group.values() for key, worth in brought.items()})


def _other_past(member: Member, by_whom: int, brought: Mapping[bytes, bytes], contradicted: Collection[bytes]) -> Past:
    """Return what is known of an event that somebody else brought, before or in this group."""
    key, worth = member.key, member.record.worth
    server = server_key(key)
    differs = worth and any(other and other != worth for other in brought.values())
    differs = differs or key + worth in contradicted
    if key == server or by_whom & BY_SERVER or server in brought:
        if key == server:
            return Past.CONTRADICTION if differs else Past.COPY
        return Past.SERVED_OTHERWISE if differs else Past.SERVED
    return Past.CONFLICT if differs else Past.REUSED


def owners(
    asked: Sequence[tuple[Sequence[bytes], Sequence[bytes]]], stored_before: Mapping[bytes, int]
) -> list[bytes | None]:
    """Return for each event the visitor whose updates of its browser copy count.

    That is the first of the given visitors who brought the event, or the first one if nobody brought it yet. It is None
    if only others brought the event.

    Args:
        asked: For each event the visitors, and for each of them the key of the visit.
        stored_before: As for ``classify_events``.
    """
    found: list[bytes | None] = []
    for visitors, keys in asked:
        by_whom = {visitor: stored_before.get(key) for visitor, key in zip(visitors, keys, strict=True)}
        owner = next((visitor for visitor in visitors if (by_whom[visitor] or 0) & BY_THIS), visitors[0])
        is_others = by_whom[owner] is not None and not (by_whom[owner] or 0) & BY_THIS
        found.append(None if is_others else owner)
    return found
