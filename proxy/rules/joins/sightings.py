"""What an event of a page leaves of its visitor for a server's event of the same order.

If nothing of the visitor may leave, only the order is noted, with the reason, so that the server's event is not sent
either.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from proxy.model.event import DropReason
from proxy.model.join import CERTAIN, JoinKey, Sighting
from proxy.model.request import Consent
from proxy.rules import limits
from proxy.rules.case import Case, EventCase
from proxy.rules.identity.person import browser_digests, browser_of, number_digests, number_hash
from proxy.rules.joins.keys import Claimed, Clue, join_keys, order_clues, person_clues

_VISITOR = 8
# The drop reasons that are a refusal by the visitor. BOT is none of them: a machine does not refuse.
_REFUSALS = frozenset({DropReason.GPC, DropReason.DNT, DropReason.OPTED_OUT})


def add_sighting(event_case: EventCase) -> None:
    """Add a sighting of the visitor for an event that may be about an order; one sighting for all its pixels."""
    case = event_case.case
    if len(case.sightings) >= limits.SIGHTINGS:
        return
    keys = _keys(case, [*_clues_of_order(event_case, event_case.data), *_clues_of_person(event_case)])
    if not keys:
        return
    ids = case.ids
    sighting = Sighting(
        case.policy.site.name,
        keys,
        event_case.hit.name,
        event_case.hit.id,
        case.request.now,
        _visitor(ids.fbp),
        fbp=ids.fbp,
        fbc=ids.fbc,
        address=case.address,
        user_agent=case.user_agent,
        options=case.options,
        person_digests=_digests(event_case),
    )
    case.sightings += (sighting,)


def _digests(event_case: EventCase) -> tuple[bytes, ...]:
    """Return the person digests of a sighting: first those that opt-outs use, then those of all pixels' match keys."""
    case, secrets = event_case.case, event_case.case.policy.person_keys
    own = (*number_digests(case.visitor_cookie.visitor, secrets), *browser_digests(case.ids.fbp, secrets))
    told = (digest for pixel in event_case.pixels for digest in case.people[pixel.id].digests)
    return tuple(dict.fromkeys((*own, *told)))[: limits.SIGHTING_KEYS]


def add_refusal_sighting(event_case: EventCase) -> None:
    """Add a sighting with only the order and the reason, for an event that is dropped because its visitor refused."""
    case, hit = event_case.case, event_case.hit
    if len(case.sightings) >= limits.SIGHTINGS or not _is_refused(case):
        return
    site = case.policy.site
    data = {} if site.sensitive == "restricted" else hit.data
    if keys := _keys(case, [clue for clue in _clues_of_order(event_case, data) if clue[0] in CERTAIN]):
        refusal = Sighting(site.name, keys, hit.name, "", case.request.now, b"", forbidden=str(case.forbidden))
        case.sightings += (refusal,)


def _is_refused(case: Case) -> bool:
    """Tell whether the visitor refused.

    A page that has no answer about consent yet is no refusal: the event comes again after a grant. Until then the
    server's event finds no sighting, so it is not sent where consent is required.
    """
    if case.forbidden is not DropReason.NO_CONSENT:
        return case.forbidden in _REFUSALS
    word, earlier = case.visit.consent, case.found.visitor_cookie.consent
    is_withdrawn = earlier is Consent.REVOKED and case.policy.site.consent != "required"
    return word is Consent.REVOKED or (word is Consent.UNKNOWN and is_withdrawn)


def _keys(case: Case, clues: list[Clue]) -> tuple[JoinKey, ...]:
    policy = case.policy
    return join_keys(policy.site.name, dict.fromkeys(clues), policy.person_keys[:1])[: limits.SIGHTING_KEYS]


def _clues_of_order(event_case: EventCase, data: Mapping[str, Any]) -> Iterator[Clue]:
    case, hit = event_case.case, event_case.hit
    return order_clues(Claimed(hit.name, hit.id, data, case.visit.url), case.policy, case.effort)


def _clues_of_person(event_case: EventCase) -> list[Clue]:
    """Return the clues that name the visitor for any of the event's pixels, the surest first."""
    case = event_case.case
    visitor, domains = case.visitor_cookie.visitor, case.policy.site.domains
    number = number_hash(visitor) if visitor else ""
    people = {id(person): person for person in (case.people[pixel.id] for pixel in event_case.pixels)}
    clues = [clue for person in people.values() for clue in person_clues(person.user_data, domains, number)]
    return sorted(clues, key=lambda clue: clue[0])


def _visitor(fbp: str) -> bytes:
    """Return 8 bytes that tell visitors apart; they depend on no secret, so they stay the same when it is replaced."""
    return blake2b(browser_of(fbp), digest_size=_VISITOR).digest()
