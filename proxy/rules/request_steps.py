"""What happens to a browser's request once: the steps that ``browser.REQUEST_STEPS`` lists, in their order."""

from collections.abc import Iterable
from hashlib import blake2b

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.request import Consent, Hit, Visit
from proxy.rules import limits, wire
from proxy.rules.case import Case, RequestStep
from proxy.rules.identity.browser_ids import browser_ids
from proxy.rules.identity.person import proven
from proxy.rules.identity.remembered_match import together
from proxy.rules.identity.visitor import forget, renew, visitor_cookie_header
from proxy.rules.identity.visitor_cookie import NONE_FOUND
from proxy.rules.people import keys_of
from proxy.rules.permission import consent
from proxy.rules.permission.bots import bot_reason
from proxy.rules.request.cookies import cookies_of
from proxy.rules.request.sites import cookie_scope_of


def take(case: Case, steps: Iterable[RequestStep]) -> None:
    """Take a request through its steps."""
    for step in steps:
        step.run(case)


def decode(case: Case) -> None:
    """Read the body; single events may be refused here.

    Raises:
        Malformed: when no event of it can be judged.
    """
    case.visit = wire.visit(case.request.body)


def page_view(case: Case) -> None:
    """Take the Referer for a visit to the page that it names."""
    request = case.request
    hit = Hit("PageView", f"{request.entropy:032x}", request.now, case.policy.pixel_ids, {}, BrowserCopy.PENDING)
    url, findings = wire.address(request.referer, "event_source_url")
    case.visit = Visit(sent=request.now, url=url, hits=(hit,), findings=findings)


def address(case: Case) -> None:
    """Take the address if it may be sent, and as much of the user agent as is read."""
    client, user_agent = case.request.client, case.request.user_agent
    case.address = client.address if client.public else ""
    case.user_agent = user_agent[: limits.USER_AGENT]
    case.findings = case.visit.findings
    if len(user_agent) > limits.USER_AGENT:
        case.findings += ("client_user_agent:cut",)


def cookies(case: Case) -> None:
    """Read the cookies; those of another site's page are none of ours."""
    request, policy = case.request, case.policy
    case.scope, case.cookies = cookie_scope_of(request), cookies_of(request.cookie)
    if case.scope.at_home and case.cookies:
        case.found = policy.keys.find(case.cookies, policy.site.name, now=request.now) or NONE_FOUND


def identity(case: Case) -> None:
    """Choose the browser's ids, and tell the visitor from others by the id that it showed."""
    visit, cookie = case.visit, case.found.visitor_cookie
    case.ids = browser_ids(
        scope=case.scope,
        cookies=case.cookies,
        fbp=visit.fbp,
        fbc=visit.fbc,
        url=visit.url,
        referrer=visit.referrer,
        now=case.request.now,
        entropy=case.request.entropy,
        stored_fbp=cookie.fbp,
        stored_fbc=cookie.fbc,
    )
    case.visitor = visitor_of(visit.fbp or case.cookies.get("_fbp", ""), case.address, case.user_agent)


def visitor_of(shown: str, address: str, user_agent: str) -> bytes:
    """Return four bytes that tell visitors apart.

    Args:
        shown: The browser's id, as the page or its cookie showed it; empty when it had none.
        address: The visitor's, by which with the user agent a visitor without an id is told.
        user_agent: As sent.
    """
    name = shown or f"{address} {user_agent}"
    return blake2b(name.encode(errors="replace"), digest_size=4).digest()


def permission(case: Case) -> None:
    """Find out whether anything may leave, under which options, and which suppressions the page's word changes."""
    request, site = case.request, case.policy.site
    if site.bots != "ignore":
        case.bot = bot_reason(
            case.user_agent, webdriver=case.visit.webdriver, brands=request.brands, platform=request.platform
        )
    case.forbidden, case.options = consent.permission(
        site,
        case.visit,
        case.found.visitor_cookie,
        gpc=request.gpc,
        dnt=request.dnt,
        is_located=request.client.public,
        is_bot=case.bot is not None,
    )
    if case.visit.consent is Consent.REVOKED:
        case.withdrawn = proven(case.found.visitor_cookie, case.policy.person_keys)[:1]
    elif case.visit.consent is Consent.GRANTED and not case.forbidden:
        case.granted = proven(case.found.visitor_cookie, case.policy.person_keys)


def visitor_cookie(case: Case) -> None:
    """Renew what the visitor cookie holds, and say which cookies the answer sets.

    A withdrawal ends them; of a visit that may not be measured none is touched.
    """
    found, policy, request, scope = case.found.visitor_cookie, case.policy, case.request, case.scope
    case.visitor_cookie = found
    if not scope.at_home:
        return
    if case.visit.consent is Consent.REVOKED:
        case.set_cookies = forget(found._replace(consent=Consent.REVOKED), scope, request, policy)
    elif case.forbidden is None:
        told = None
        if policy.site.remember_match and policy.site.sensitive != "restricted":
            told = together(keys_of(case, pixel_id).hashed for pixel_id in policy.pixel_ids)
        case.visitor_cookie, header = renew(case.found, case.ids, case.visit.consent, scope, request, policy, told)
        case.set_cookies = (*case.ids.cookies, header)
    elif case.forbidden is DropReason.OPTED_OUT:
        # Browsers end any cookie after 400 days; an opt-out shall not end for somebody who comes more often.
        case.set_cookies = (visitor_cookie_header(found, scope, request, policy),)
