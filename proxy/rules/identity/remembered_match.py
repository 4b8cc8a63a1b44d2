"""Match keys that are remembered for one visit: after a login or a form, later events of the visit carry them too.

They are hashed before they get here, are kept in the visitor's own sealed cookie, and are forgotten when the visit
ends: after half an hour without an event, after a day in any case, or when the page names another person.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from proxy.model.units import DAY_MS
from proxy.rules.identity.visitor_cookie import VisitorCookie

IDLE_MS = 30 * 60 * 1000
LONGEST_MS = DAY_MS
# Most telling first, since the last ones are left out when the cookie is full.
_KEYS = ("em", "external_id", "ph", "fn", "ln", "zp", "ct", "st", "country", "db", "ge")
_WHO = ("em", "external_id")
_VALUES = 4

Hashed = Mapping[str, Sequence[str]]


def without_match_keys(visitor_cookie: VisitorCookie) -> VisitorCookie:
    """Return the visitor cookie without match keys."""
    return replace(visitor_cookie, match={}, match_since=0, match_seen=0) if visitor_cookie.match else visitor_cookie


def with_match_keys(visitor_cookie: VisitorCookie, told: Hashed, *, now: int) -> VisitorCookie:
    """Return the visitor cookie with the match keys of its visit.

    Args:
        visitor_cookie: The visitor cookie as it was before.
        told: The match keys that the page gave just now.
        now: Server clock in milliseconds.
    """
    earlier = _match_keys_of_visit(visitor_cookie, told, now)
    match = {key: tuple(told.get(key) or earlier[key])[:_VALUES] for key in _KEYS if told.get(key) or key in earlier}
    if not match:
        return without_match_keys(visitor_cookie)
    return replace(
        visitor_cookie, match=match, match_since=visitor_cookie.match_since if earlier else now, match_seen=now
    )


def merge_match_keys(by_pixel: Iterable[Hashed]) -> Hashed:
    """Return the match keys that a page gave for several pixels as those of one person."""
    found: dict[str, list[str]] = {}
    for hashed in by_pixel:
        for key, values in hashed.items():
            hashes = found.setdefault(key, [])
            hashes += [value for value in values if value not in hashes]
    return found


def _match_keys_of_visit(visitor_cookie: VisitorCookie, told: Hashed, now: int) -> Hashed:
    is_over = now - visitor_cookie.match_seen > IDLE_MS or now - visitor_cookie.match_since > LONGEST_MS
    return {} if is_over or _names_another(visitor_cookie.match, told) else visitor_cookie.match


def _names_another(earlier: Hashed, told: Hashed) -> bool:
    return any(
        _digests(earlier[key]).isdisjoint(_digests(told[key])) for key in _WHO if earlier.get(key) and told.get(key)
    )


def _digests(values: Sequence[str]) -> set[str]:
    """Return hashes without the appendix of the library that made them."""
    return {value.partition(".")[0] for value in values}
