"""The visitor's own choice to opt out: it is held in the visitor cookie, and the page's consent does not change it.

An opt-out ends all ids of the browser and leaves only the choice. Taking it back gives no consent and restores no id.
"""

from dataclasses import dataclass
from enum import StrEnum

from msgspec.structs import replace

from proxy.config.schema import Site
from proxy.model.request import BrowserRequest, Consent
from proxy.rules.identity import reference
from proxy.rules.identity.person import proven_digests
from proxy.rules.identity.visitor import expire_ids, visitor_cookie_header
from proxy.rules.identity.visitor_cookie import NOTHING, VisitorCookie
from proxy.rules.permission.consent import signals_gpc_header
from proxy.rules.policy import Policy
from proxy.rules.request.cookies import cookies_of
from proxy.rules.request.sites import CookieScope, cookie_scope_of


class Gpc(StrEnum):
    """Whether the browser sends Global Privacy Control, and what the site makes of it."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class OptOutStatus:
    """The opt-out state of one browser, and the cookies that keep it."""

    opted_out: bool
    gpc: Gpc
    consent: Consent
    """The last consent or withdrawal that a page reported."""
    reference: str = ""
    """The reference by which the owner can erase what waits about this browser; another text each time."""
    cookies: tuple[str, ...] = ()
    person_digests: tuple[bytes, ...] = ()
    """Digests of this browser's visitor, as far as the visitor cookie proves who it is."""


def opt_out_status(request: BrowserRequest, policy: Policy) -> OptOutStatus | None:
    """Return the opt-out state; None on another site's page, where the browser would not send or keep our cookies."""
    scope = _scope(request)
    if not scope.at_home:
        return None
    cookie = _cookie(request, policy)
    person_digests = proven_digests(cookie, policy.person_keys)
    handle = (
        reference.make(person_digests[0], policy.person_keys[0], request.entropy)
        if person_digests and policy.person_keys
        else ""
    )
    return OptOutStatus(
        cookie.opted_out, _gpc(policy.site, request), cookie.consent, handle, person_digests=person_digests
    )


def choose(request: BrowserRequest, policy: Policy, *, opted_out: bool) -> OptOutStatus | None:
    """Return the opt-out state after a choice; None as in ``opt_out_status``.

    Args:
        request: The request that brings the choice.
        policy: What the configuration says of its site.
        opted_out: The choice: whether the visitor opts out, or takes an opt-out back.
    """
    scope = _scope(request)
    if not scope.at_home:
        return None
    cookie = _cookie(request, policy)
    if opted_out:
        cookies = expire_ids(replace(cookie, opted_out=True), scope, request, policy)
    else:
        cookies = (visitor_cookie_header(_without_opt_out(cookie), scope, request, policy),)
    gpc, person_digests = _gpc(policy.site, request), proven_digests(cookie, policy.person_keys)
    return OptOutStatus(opted_out, gpc, cookie.consent, cookies=cookies, person_digests=person_digests)


def _without_opt_out(cookie: VisitorCookie) -> VisitorCookie:
    """Return the cookie without the opt-out; a withdrawal of consent stays, with the digest that can lift it."""
    suppression = cookie.suppression if cookie.consent is Consent.REVOKED else ""
    return replace(cookie, opted_out=False, suppression=suppression)


def _scope(request: BrowserRequest) -> CookieScope:
    """Return the cookie scope; a visitor who followed a link sends no origin and any Referer, but the page is ours."""
    return cookie_scope_of(request, own_page=not request.origin)


def _cookie(request: BrowserRequest, policy: Policy) -> VisitorCookie:
    found = policy.keys.find(cookies_of(request.cookie), policy.site.name, now=request.now)
    return found.visitor_cookie if found else NOTHING


def _gpc(site: Site, request: BrowserRequest) -> Gpc:
    if not signals_gpc_header(request.gpc):
        return Gpc.ABSENT
    return Gpc.IGNORED if site.gpc == "ignore" else Gpc.HONOURED
