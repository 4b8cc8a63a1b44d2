"""What came: the page's claims, the address and the cookies that count. Each step writes its part of the case."""

from proxy.model.event import BrowserCopy
from proxy.model.request import Hit, Visit
from proxy.rules import limits, wire, wire_members
from proxy.rules.case import Case
from proxy.rules.request.cookies import named_cookies
from proxy.rules.request.sites import cookie_scope_of


def read_request(case: Case) -> None:
    """Find out what came from a page."""
    decode(case)
    address(case)
    cookies(case)


def read_image_request(case: Case) -> None:
    """Find out what came with a request for the image."""
    page_view(case)
    address(case)
    cookies(case)


def decode(case: Case) -> None:
    """Read the body; single events may be refused here.

    Raises:
        Malformed: when no event of it can be judged.
    """
    case.visit = wire.visit(case.request.body)


def page_view(case: Case) -> None:
    """Make a visit with one PageView, of the page that the Referer names."""
    request = case.request
    hit = Hit("PageView", f"{request.entropy:032x}", request.now, case.policy.pixel_ids, {}, BrowserCopy.PENDING)
    url, findings = wire_members.address(request.referer, "event_source_url")
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
    """Find out the relation of the proxy to the page, and read the cookies that matter."""
    request = case.request
    case.scope = cookie_scope_of(request)
    if request.cookie:
        case.cookies = named_cookies(request.cookie, case.policy.cookie_pattern)
