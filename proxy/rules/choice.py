"""The visitor's own word: opted out or not, kept in the keeper, which the page's consent does not change.

An opt-out ends all ids of the browser and leaves the mark alone. Taking it back gives no consent and brings no id
back; the moment is kept, since of the words about one person the latest counts.
"""

from dataclasses import dataclass
from enum import StrEnum

from proxy.model import Consent, Facts
from proxy.rules import address, identity
from proxy.rules.consent import signals_gpc_header
from proxy.rules.keeper import Keeper
from proxy.rules.visitor import Policy, forget, keeper_cookie, kept_by, person, place_of
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
    visitor: str = ""
    """Our id of this browser, for whoever asks to be erased."""
    cookies: tuple[str, ...] = ()
    people: tuple[bytes, ...] = ()
    """Whom an opt-out binds, as far as the keeper knew."""


def standing(facts: Facts, policy: Policy) -> Standing | None:
    """Return how things stand; None where the browser would not send or keep our cookies: another site's page."""
    where, kept = _at_the_door(facts, policy)
    return Standing(kept.opted_out, _gpc(policy.site, facts), kept.consent, kept.visitor) if where.at_home else None


def choose(facts: Facts, policy: Policy, *, opted_out: bool) -> Standing | None:
    """Return how things stand after a choice; None as in ``standing``."""
    where, kept = _at_the_door(facts, policy)
    if not where.at_home:
        return None
    gpc = _gpc(policy.site, facts)
    if opted_out:
        marked = kept._replace(opted_out=True)
        return Standing(True, gpc, kept.consent, "", forget(marked, where, facts, policy), person(kept, policy))
    lifted = kept._replace(opted_out=False, agreed=facts.now)
    return Standing(False, gpc, kept.consent, kept.visitor, (keeper_cookie(lifted, where, facts, policy),))


def _at_the_door(facts: Facts, policy: Policy) -> tuple[identity.Place, Keeper]:
    """A visitor who follows a link brings no origin, and a Referer of anywhere; the page is then our own."""
    believed = address.is_trusted(facts.peer, policy.trusted)
    where = place_of(facts, believed=believed, own_page=not facts.origin)
    return where, kept_by(facts, where, identity.cookies_of(facts.cookie), policy)


def _gpc(site: Site, facts: Facts) -> Gpc:
    if not signals_gpc_header(facts.gpc):
        return Gpc.ABSENT
    return Gpc.IGNORED if site.gpc == "ignore" else Gpc.HONOURED
