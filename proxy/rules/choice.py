"""The visitor's own word: opted out or not, held in the visitor cookie, which the page's consent does not change.

An opt-out ends all ids of the browser and leaves that word. Taking it back gives no consent and brings no id back.
"""

from dataclasses import dataclass
from enum import StrEnum

from proxy.model import Consent, Facts
from proxy.rules import address, identity, reference
from proxy.rules.consent import signals_gpc_header
from proxy.rules.keeper import Keeper
from proxy.rules.visitor import Policy, forget, keeper_cookie, kept_by, place_of, proven
from proxy.settings import Site


class Gpc(StrEnum):
    """What becomes of the browser's Global Privacy Control here."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with one browser, and what it takes to keep them so."""

    opted_out: bool
    gpc: Gpc
    consent: Consent
    """The page's last clear word."""
    reference: str = ""
    """By which the owner can erase what waits about this browser; another text each time."""
    cookies: tuple[str, ...] = ()
    people: tuple[bytes, ...] = ()
    """Digests of this browser's visitor, as far as the visitor cookie proves who it is."""


def standing(facts: Facts, policy: Policy) -> Standing | None:
    """Return how things stand; None where the browser would not send or keep our cookies: another site's page."""
    where, kept = _at_the_door(facts, policy)
    if not where.at_home:
        return None
    people = proven(kept, policy)
    handle = reference.make(people[0], policy.people_keys[0], facts.entropy) if people and policy.people_keys else ""
    return Standing(kept.opted_out, _gpc(policy.site, facts), kept.consent, handle, people=people)


def choose(facts: Facts, policy: Policy, *, opted_out: bool) -> Standing | None:
    """Return how things stand after a choice; None as in ``standing``."""
    where, kept = _at_the_door(facts, policy)
    if not where.at_home:
        return None
    if opted_out:
        cookies = forget(kept._replace(opted_out=True), where, facts, policy)
    else:
        cookies = (keeper_cookie(_taken_back(kept), where, facts, policy),)
    gpc, people = _gpc(policy.site, facts), proven(kept, policy)
    return Standing(opted_out, gpc, kept.consent, cookies=cookies, people=people)


def _taken_back(kept: Keeper) -> Keeper:
    """A withdrawal of consent stays, and with it what can lift that."""
    left = kept.suppression if kept.consent is Consent.REVOKED else ""
    return kept._replace(opted_out=False, suppression=left)


def _at_the_door(facts: Facts, policy: Policy) -> tuple[identity.Place, Keeper]:
    """A visitor who follows a link brings no origin, and a Referer of anywhere; the page is then our own."""
    believed = address.is_trusted(facts.peer, policy.trusted)
    where = place_of(facts, believed=believed, own_page=not facts.origin)
    return where, kept_by(facts, where, identity.cookies_of(facts.cookie), policy).keeper


def _gpc(site: Site, facts: Facts) -> Gpc:
    if not signals_gpc_header(facts.gpc):
        return Gpc.ABSENT
    return Gpc.IGNORED if site.gpc == "ignore" else Gpc.HONOURED
