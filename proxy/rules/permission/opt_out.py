"""The visitor's own word: opted out or not, held in the visitor cookie, which the page's consent does not change.

An opt-out ends all ids of the browser and leaves that word. Taking it back gives no consent and brings no id back.
"""

from dataclasses import dataclass
from enum import StrEnum

from proxy.config.schema import Site
from proxy.model.request import BrowserRequest, Consent
from proxy.rules.identity import reference
from proxy.rules.identity.visitor import forget, proven, read_visitor_cookie, visitor_cookie_header
from proxy.rules.identity.visitor_cookie import VisitorCookie
from proxy.rules.permission.consent import signals_gpc_header
from proxy.rules.policy import Policy
from proxy.rules.request import cookies, sites
from proxy.rules.request.sites import cookie_scope_of


class Gpc(StrEnum):
    """What becomes of the browser's Global Privacy Control here."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class OptOutStatus:
    """How things stand with one browser, and what it takes to keep them so."""

    opted_out: bool
    gpc: Gpc
    consent: Consent
    """The page's last clear word."""
    reference: str = ""
    """By which the owner can erase what waits about this browser; another text each time."""
    cookies: tuple[str, ...] = ()
    person_digests: tuple[bytes, ...] = ()
    """Digests of this browser's visitor, as far as the visitor cookie proves who it is."""


def standing(request: BrowserRequest, policy: Policy) -> OptOutStatus | None:
    """Return how things stand; None where the browser would not send or keep our cookies: another site's page."""
    scope, kept = _at_the_door(request, policy)
    if not scope.at_home:
        return None
    person_digests = proven(kept, policy)
    handle = (
        reference.make(person_digests[0], policy.person_keys[0], request.entropy)
        if person_digests and policy.person_keys
        else ""
    )
    return OptOutStatus(kept.opted_out, _gpc(policy.site, request), kept.consent, handle, person_digests=person_digests)


def choose(request: BrowserRequest, policy: Policy, *, opted_out: bool) -> OptOutStatus | None:
    """Return how things stand after a choice; None as in ``standing``."""
    scope, kept = _at_the_door(request, policy)
    if not scope.at_home:
        return None
    if opted_out:
        cookies = forget(kept._replace(opted_out=True), scope, request, policy)
    else:
        cookies = (visitor_cookie_header(_taken_back(kept), scope, request, policy),)
    gpc, person_digests = _gpc(policy.site, request), proven(kept, policy)
    return OptOutStatus(opted_out, gpc, kept.consent, cookies=cookies, person_digests=person_digests)


def _taken_back(kept: VisitorCookie) -> VisitorCookie:
    """A withdrawal of consent stays, and with it what can lift that."""
    left = kept.suppression if kept.consent is Consent.REVOKED else ""
    return kept._replace(opted_out=False, suppression=left)


def _at_the_door(request: BrowserRequest, policy: Policy) -> tuple[sites.CookieScope, VisitorCookie]:
    """A visitor who follows a link brings no origin, and a Referer of anywhere; the page is then our own."""
    scope = cookie_scope_of(request, own_page=not request.origin)
    return scope, read_visitor_cookie(request, scope, cookies.cookies_of(request.cookie), policy).visitor_cookie


def _gpc(site: Site, request: BrowserRequest) -> Gpc:
    if not signals_gpc_header(request.gpc):
        return Gpc.ABSENT
    return Gpc.IGNORED if site.gpc == "ignore" else Gpc.HONOURED
