"""Match keys of one visit: a login or a form tells who it is, and later events of the same visit say so too.

They are hashed before they get here, rest in the visitor's own sealed keeper, and end with the visit: after half an
hour without an event, after a day in any case, or when the page names somebody else.
"""

from collections.abc import Iterable, Mapping, Sequence

from proxy.model import DAY_MS
from proxy.rules.keeper import Keeper

IDLE_MS = 30 * 60 * 1000
LONGEST_MS = DAY_MS
# Most telling first, since the last ones go when the keeper is full.
_KEYS = ("em", "external_id", "ph", "fn", "ln", "zp", "ct", "st", "country", "db", "ge")
_WHO = ("em", "external_id")
_VALUES = 4

Hashed = Mapping[str, Sequence[str]]


def forgotten(keeper: Keeper) -> Keeper:
    """Return the keeper without match keys."""
    return keeper._replace(match={}, match_since=0, match_seen=0) if keeper.match else keeper


def remembered(keeper: Keeper, given: Hashed, *, now: int) -> Keeper:
    """Return the keeper with the match keys of its visit, after an event that came with these."""
    known = _of_this_visit(keeper, given, now)
    match = {key: tuple(given.get(key) or known[key])[:_VALUES] for key in _KEYS if given.get(key) or key in known}
    if not match:
        return forgotten(keeper)
    return keeper._replace(match=match, match_since=keeper.match_since if known else now, match_seen=now)


def together(some: Iterable[Hashed]) -> Hashed:
    """Return the match keys that a page gave for several pixels as those of one person."""
    found: dict[str, list[str]] = {}
    for hashed in some:
        for key, values in hashed.items():
            known = found.setdefault(key, [])
            known += [value for value in values if value not in known]
    return found


def _of_this_visit(keeper: Keeper, given: Hashed, now: int) -> Hashed:
    is_over = now - keeper.match_seen > IDLE_MS or now - keeper.match_since > LONGEST_MS
    return {} if is_over or _names_another(keeper.match, given) else keeper.match


def _names_another(known: Hashed, given: Hashed) -> bool:
    return any(
        _digests(known[key]).isdisjoint(_digests(given[key])) for key in _WHO if known.get(key) and given.get(key)
    )


def _digests(values: Sequence[str]) -> set[str]:
    """Return hashes without the appendix of the library that made them."""
    return {value.partition(".")[0] for value in values}
