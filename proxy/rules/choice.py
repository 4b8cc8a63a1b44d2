"""The visitor's own word: opted out or not, kept in the keeper, which the page's consent does not change.

An opt-out ends all ids of the browser and leaves the mark alone. Taking it back gives no consent and brings no id
back; the moment is kept, since of the words about one person the latest counts.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from proxy.model import Consent, Facts
from proxy.rules.consent import signals_gpc_header
from proxy.rules.ingest import Policy, believed, forget, is_at_home, keeper_cookie, kept_by, person
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
    facts = _at_the_door(facts, policy)
    if not is_at_home(facts):
        return None
    kept = kept_by(facts, policy)
    return Standing(kept.opted_out, _gpc(policy.site, facts), kept.consent, kept.visitor)


def choose(facts: Facts, policy: Policy, *, opted_out: bool) -> Standing | None:
    """Return how things stand after a choice; None as in ``standing``."""
    facts = _at_the_door(facts, policy)
    if not is_at_home(facts):
        return None
    kept, gpc = kept_by(facts, policy), _gpc(policy.site, facts)
    if opted_out:
        marked = replace(kept, opted_out=True)
        return Standing(True, gpc, kept.consent, "", forget(marked, facts, policy), person(kept, policy))
    lifted = replace(kept, opted_out=False, agreed=facts.now)
    return Standing(False, gpc, kept.consent, kept.visitor, (keeper_cookie(lifted, facts, policy),))


def _at_the_door(facts: Facts, policy: Policy) -> Facts:
    """A visitor who follows a link brings no origin, and a Referer of anywhere; the page is then our own."""
    facts = believed(facts, policy)
    return facts if facts.origin else replace(facts, origin=facts.host, referer="")


def _gpc(site: Site, facts: Facts) -> Gpc:
    if not signals_gpc_header(facts.gpc):
        return Gpc.ABSENT
    return Gpc.IGNORED if site.gpc == "ignore" else Gpc.HONOURED
