"""The browser behind a request: how the proxy stands to its page, what its keeper holds, the cookies that keep it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from proxy.config.schema import Site
from proxy.model.request import BrowserRequest, Visit
from proxy.rules.effort import Effort
from proxy.rules.identity import browser_ids, remembered_match
from proxy.rules.identity.person_digest import number_digests
from proxy.rules.identity.visitor_cookie import MAX_AGE_S, NOTHING, Found, VisitorCookie, renewed
from proxy.rules.match import keys
from proxy.rules.policy import Policy
from proxy.rules.request import cookies, sites

_NONE = Found(NOTHING, "")


def read_visitor_cookie(
    request: BrowserRequest, scope: sites.CookieScope, cookies: Mapping[str, str], policy: Policy
) -> Found:
    """Return what the browser's keeper holds; a cookie of another site is none of ours."""
    found = policy.keys.find(cookies, policy.site.name, now=request.now) if scope.at_home and cookies else None
    return found or _NONE


def next_visitor_cookie(  # noqa: PLR0913, PLR0917 - what was kept, what came, and what it may cost
    kept: VisitorCookie,
    visit: Visit,
    ids: browser_ids.BrowserIds,
    request: BrowserRequest,
    policy: Policy,
    effort: Effort,
) -> VisitorCookie:
    """Return what the keeper holds after a visit that may be measured."""
    site = policy.site
    visitor = (kept.visitor or policy.keys.new_visitor(request.entropy)) if site.visitor_id else ""
    visitor_cookie = renewed(kept, visitor, ids, consent=visit.consent, now=request.now)
    if not site.remember_match or site.sensitive == "restricted":
        return remembered_match.forgotten(visitor_cookie)
    given = (match_keys(visit, pixel.id, request, site, effort).hashed for pixel in site.pixel)
    return remembered_match.remembered(visitor_cookie, remembered_match.together(given), now=request.now)


def match_keys(visit: Visit, pixel_id: str, request: BrowserRequest, site: Site, effort: Effort) -> keys.MatchKeys:
    """Return what the page told of the visitor for one pixel."""
    given = visit.match.get(pixel_id)
    if not given:
        return keys.NOTHING
    year = datetime.fromtimestamp(request.now / 1000, UTC).year
    return keys.match_keys(given, country=site.country.lower(), year=year, effort=effort)


def proven(kept: VisitorCookie, policy: Policy) -> tuple[bytes, ...]:
    """Return the digests by which suppressions of this browser are known, the one to suppress it by first.

    Only the visitor number counts, which we gave and sealed: ``_fbp`` and remembered match keys are sealed too, but
    came as claims of a page, and whoever may claim them could speak for others.
    """
    suppressed = (bytes.fromhex(kept.suppression),) if kept.suppression else ()
    return (*suppressed, *number_digests(kept.visitor, policy.person_keys)) if kept.visitor else suppressed


def forget(kept: VisitorCookie, scope: sites.CookieScope, request: BrowserRequest, policy: Policy) -> tuple[str, ...]:
    """Return the cookies that end all ids; the words about consent and opt-out stay, with what can lift them."""
    suppression = "".join(one.hex() for one in proven(kept, policy)[:1])
    words = VisitorCookie(consent=kept.consent, opted_out=kept.opted_out, suppression=suppression)
    old_names = policy.keys.names(policy.site.name)[1:]
    ended = (cookies.set_cookie(name, "", scope, seconds=0, http_only=True) for name in old_names)
    return (*cookies.forget_cookies(scope), visitor_cookie_header(words, scope, request, policy), *ended)


def visitor_cookie_header(
    visitor_cookie: VisitorCookie,
    scope: sites.CookieScope,
    request: BrowserRequest,
    policy: Policy,
    *,
    sealed: str = "",
) -> str:
    """Return the cookie that keeps what we know of a browser.

    Args:
        visitor_cookie: What we know.
        scope: How the proxy stands to the page.
        request: The request that it answers.
        policy: What the configuration says of its site.
        sealed: The keeper as it was sealed for an earlier answer, where that may be set again.
    """
    site = policy.site.name
    value = sealed or policy.keys.seal(visitor_cookie, site, now=request.now, entropy=request.entropy)
    return cookies.set_cookie(policy.keys.names(site)[0], value, scope, seconds=MAX_AGE_S, http_only=True)
