"""Who the browser is: what tells its visitor from others, its ids, and the cookies that keep what we know of it."""

from hashlib import blake2b

from msgspec.structs import replace

from proxy.model.event import DropReason
from proxy.model.request import Consent
from proxy.rules.case import Case
from proxy.rules.identity.browser_ids import browser_ids
from proxy.rules.identity.person import proven_digests
from proxy.rules.identity.remembered_match import merge_match_keys
from proxy.rules.identity.visitor import expire_ids, renew, visitor_cookie_header
from proxy.rules.people import keys_of


def identify_browser(case: Case) -> None:
    """Find out who the browser is; a browser whose events may not leave gets no ids."""
    visitor(case)
    suppressions(case)
    if case.forbidden is None:
        ids(case)
        visitor_cookie(case)
    else:
        ended_cookies(case)


def visitor(case: Case) -> None:
    """Set the bytes that tell the visitor from others, by the id that the browser showed."""
    case.visitor = visitor_of(case.visit.fbp or case.cookies.get("_fbp", ""), case.address, case.user_agent)


def visitor_of(shown: str, address: str, user_agent: str) -> bytes:
    """Return four bytes that tell visitors apart.

    Args:
        shown: The browser's id, as the page or its cookie showed it; empty when it had none.
        address: The visitor's IP address; with the user agent it is used for a visitor without an id.
        user_agent: As sent.
    """
    name = shown or f"{address} {user_agent}"
    return blake2b(name.encode(errors="replace"), digest_size=4).digest()


def suppressions(case: Case) -> None:
    """Note who withdraws or grants consent with this request, as far as the visitor cookie proves who that is."""
    word = case.visit.consent
    if word is Consent.GRANTED and not case.forbidden:
        case.granted = proven_digests(case.found.visitor_cookie, case.policy.person_keys)
    elif word is Consent.REVOKED:
        case.withdrawn = proven_digests(case.found.visitor_cookie, case.policy.person_keys)[:1]


def ids(case: Case) -> None:
    """Choose the browser's ids."""
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


def visitor_cookie(case: Case) -> None:
    """Renew what the visitor cookie holds, and say which cookies the answer sets."""
    case.visitor_cookie = case.found.visitor_cookie
    if not case.scope.at_home:
        return
    policy, told = case.policy, None
    if policy.remembers_match:
        told = merge_match_keys(keys_of(case, pixel_id).hashed for pixel_id in policy.pixel_ids)
    case.visitor_cookie, header = renew(
        case.found, case.ids, case.visit.consent, case.scope, case.request, policy, told
    )
    case.set_cookies = (*case.ids.cookies, header)


def ended_cookies(case: Case) -> None:
    """Set the cookies if nothing of the visit may leave: a withdrawal ends all ids, an opt-out is stored again."""
    found, scope, request, policy = case.found.visitor_cookie, case.scope, case.request, case.policy
    case.visitor_cookie = found
    if not scope.at_home:
        return
    if case.visit.consent is Consent.REVOKED:
        case.set_cookies = expire_ids(replace(found, consent=Consent.REVOKED), scope, request, policy)
    elif case.forbidden is DropReason.OPTED_OUT:
        # Browsers end any cookie after 400 days; an opt-out shall not end for somebody who comes more often.
        case.set_cookies = (visitor_cookie_header(found, scope, request, policy),)
