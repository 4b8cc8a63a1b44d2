"""Match keys of one visit: a login or a form tells who it is, and later events of the same visit say so too.

They are hashed before they get here, rest in the visitor's own sealed keeper, and end with the visit: after half an
hour without an event, after a day in any case, or when the page names somebody else.
"""

from collections.abc import Iterable, Mapping, Sequence

from proxy.model.units import DAY_MS
from proxy.rules.identity.visitor_cookie import VisitorCookie

IDLE_MS = 30 * 60 * 1000
LONGEST_MS = DAY_MS
# Most telling first, since the last ones go when the keeper is full.
_KEYS = ("em", "external_id", "ph", "fn", "ln", "zp", "ct", "st", "country", "db", "ge")
_WHO = ("em", "external_id")
_VALUES = 4

Hashed = Mapping[str, Sequence[str]]


def forgotten(visitor_cookie: VisitorCookie) -> VisitorCookie:
    """Return the keeper without match keys."""
    return visitor_cookie._replace(match={}, match_since=0, match_seen=0) if visitor_cookie.match else visitor_cookie


def remembered(visitor_cookie: VisitorCookie, given: Hashed, *, now: int) -> VisitorCookie:
    """Return the keeper with the match keys of its visit, after an event that came with these."""
    known = _of_this_visit(visitor_cookie, given, now)
    match = {key: tuple(given.get(key) or known[key])[:_VALUES] for key in _KEYS if given.get(key) or key in known}
    if not match:
        return forgotten(visitor_cookie)
    return visitor_cookie._replace(
        match=match, match_since=visitor_cookie.match_since if known else now, match_seen=now
    )


def together(some: Iterable[Hashed]) -> Hashed:
    """Return the match keys that a page gave for several pixels as those of one person."""
    found: dict[str, list[str]] = {}
    for hashed in some:
        for key, values in hashed.items():
            known = found.setdefault(key, [])
            known += [value for value in values if value not in known]
    return found


def _of_this_visit(visitor_cookie: VisitorCookie, given: Hashed, now: int) -> Hashed:
    is_over = now - visitor_cookie.match_seen > IDLE_MS or now - visitor_cookie.match_since > LONGEST_MS
    return {} if is_over or _names_another(visitor_cookie.match, given) else visitor_cookie.match


def _names_another(known: Hashed, given: Hashed) -> bool:
    return any(
        _digests(known[key]).isdisjoint(_digests(given[key])) for key in _WHO if known.get(key) and given.get(key)
    )


def _digests(values: Sequence[str]) -> set[str]:
    """Return hashes without the appendix of the library that made them."""
    return {value.partition(".")[0] for value in values}
