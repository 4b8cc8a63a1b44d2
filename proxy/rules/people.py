"""Who the visitor of a request is for each pixel: what the page told that pixel, and what the request itself says."""

from datetime import UTC, datetime

from proxy.rules.case import Case
from proxy.rules.identity.person import Person, person_of
from proxy.rules.match import keys


def keys_of(case: Case, pixel_id: str) -> keys.MatchKeys:
    """Return the match keys that the page gave for one pixel; they are worked out once."""
    customer_information = case.visit.match.get(pixel_id)
    if not customer_information:
        return keys.NOTHING
    found = case.match_keys.get(pixel_id)
    if found is None:
        country, year = case.policy.site.country.lower(), datetime.fromtimestamp(case.request.now / 1000, UTC).year
        found = keys.match_keys(customer_information, country=country, year=year, effort=case.effort)
        case.match_keys[pixel_id] = found
    return found


def person_for(case: Case, pixel_id: str) -> Person:
    """Return who the visitor is for one pixel, worked out once; pixels without match keys share one person."""
    person = case.people.get(pixel_id)
    if person is None:
        told = keys_of(case, pixel_id)
        person = case.people[pixel_id] = _stranger(case) if told is keys.NOTHING else _person(case, told)
    return person


def _stranger(case: Case) -> Person:
    if case.stranger is None:
        case.stranger = _person(case, keys.NOTHING)
    return case.stranger


def _person(case: Case, told: keys.MatchKeys) -> Person:
    return person_of(
        told,
        case.visitor_cookie,
        address=case.address,
        user_agent=case.user_agent,
        fbp=case.ids.fbp,
        fbc=case.ids.fbc,
        person_keys=case.policy.person_keys,
    )
