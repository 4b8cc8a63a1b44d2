"""The visitor behind a visitor cookie: what it proves, and the cookies that keep or end it."""

from msgspec.structs import replace

from proxy.model.request import BrowserRequest, Consent
from proxy.rules.identity.browser_ids import BrowserIds
from proxy.rules.identity.person import proven_digests
from proxy.rules.identity.remembered_match import Hashed, with_match_keys, without_match_keys
from proxy.rules.identity.visitor_cookie import MAX_AGE_S, FoundCookie, VisitorCookie
from proxy.rules.policy import Policy
from proxy.rules.request.cookies import attributes, expire_browser_ids, set_cookie
from proxy.rules.request.sites import CookieScope


def renew(  # noqa: PLR0913, PLR0917 - what was there, what came, and what seals it
    found: FoundCookie,
    ids: BrowserIds,
    consent: Consent,
    scope: CookieScope,
    request: BrowserRequest,
    policy: Policy,
    told: Hashed | None,
) -> tuple[VisitorCookie, str]:
    """Return what the visitor cookie holds after another permitted visit, and its ``Set-Cookie`` value.

    Args:
        found: The visitor cookie as the request brought it.
        ids: The browser's ids.
        consent: What the page says of consent.
        scope: The relation of the proxy to the page.
        request: The request that is answered.
        policy: What the configuration says of its site.
        told: The match keys that the page gave just now; None where none are remembered.
    """
    cookie = found.visitor_cookie
    visitor = (cookie.visitor or policy.keys.new_visitor(request.entropy)) if policy.site.visitor_id else ""
    after = renewed(cookie, visitor, ids, consent=consent, now=request.now)
    if told is not None:
        after = with_match_keys(after, told, now=request.now)
    elif after.match:
        after = without_match_keys(after)
    if found.sealed and (after is cookie or after == cookie):
        return after, _header(found.sealed, scope, policy)
    return after, visitor_cookie_header(after, scope, request, policy)


def renewed(cookie: VisitorCookie, visitor: str, ids: BrowserIds, *, consent: Consent, now: int) -> VisitorCookie:
    """Return the visitor cookie after another permitted visit; the same object if nothing changed.

    Args:
        cookie: The cookie as it was before; values that stay the same keep their first time.
        visitor: The visitor number, or "" if the site wants none.
        ids: The browser's ids.
        consent: What the page says of consent.
        now: Server clock in milliseconds.
    """
    is_same = (visitor, ids.fbp, ids.fbc, "") == (cookie.visitor, cookie.fbp, cookie.fbc, cookie.suppression)
    if is_same and (consent is cookie.consent or consent is Consent.UNKNOWN):
        return cookie
    return replace(
        cookie,
        visitor=visitor,
        since=cookie.since if visitor == cookie.visitor else now,
        fbp=ids.fbp,
        fbp_since=cookie.fbp_since if ids.fbp == cookie.fbp else now,
        fbc=ids.fbc,
        fbc_since=cookie.fbc_since if ids.fbc == cookie.fbc else now,
        consent=cookie.consent if consent is Consent.UNKNOWN else consent,
        suppression="",
    )


def expire_ids(cookie: VisitorCookie, scope: CookieScope, request: BrowserRequest, policy: Policy) -> tuple[str, ...]:
    """Return the cookies that end all ids; consent and opt-out stay, with the digest that is needed to lift them.

    Args:
        cookie: What the visitor cookie holds.
        scope: The relation of the proxy to the page.
        request: The request that is answered.
        policy: What the configuration says of its site.
    """
    suppression = "".join(digest.hex() for digest in proven_digests(cookie, policy.person_keys)[:1])
    words = VisitorCookie(consent=cookie.consent, opted_out=cookie.opted_out, suppression=suppression)
    old_names = policy.visitor_cookie_names[1:]
    ended = (set_cookie(name, "", scope, seconds=0, http_only=True) for name in old_names)
    return (*expire_browser_ids(scope), visitor_cookie_header(words, scope, request, policy), *ended)


def visitor_cookie_header(cookie: VisitorCookie, scope: CookieScope, request: BrowserRequest, policy: Policy) -> str:
    """Return the ``Set-Cookie`` value that keeps what we know of a browser.

    Args:
        cookie: What we know of the browser.
        scope: The relation of the proxy to the page.
        request: The request that is answered.
        policy: What the configuration says of its site.
    """
    sealed = policy.keys.seal(cookie, policy.site.name, now=request.now, entropy=request.entropy)
    return _header(sealed, scope, policy)


def _header(sealed: str, scope: CookieScope, policy: Policy) -> str:
    return f"{policy.visitor_cookie_names[0]}={sealed}; {attributes(scope, MAX_AGE_S, True)}"
