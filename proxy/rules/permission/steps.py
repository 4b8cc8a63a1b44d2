"""What a visit may do: whether anything of it may leave, and which suppressions the page's word changes."""

from proxy.model.request import Consent
from proxy.rules.case import Case
from proxy.rules.identity.person import proven
from proxy.rules.permission import consent
from proxy.rules.permission.bots import bot_reason


def take(case: Case) -> None:
    """Find out what the visit may do."""
    machine(case)
    permission(case)
    suppressions(case)


def machine(case: Case) -> None:
    """Find out whether the visitor is a machine, where that matters."""
    if case.policy.judges_bots:
        request = case.request
        case.bot = bot_reason(
            case.user_agent, webdriver=case.visit.webdriver, brands=request.brands, platform=request.platform
        )


def permission(case: Case) -> None:
    """Find out whether anything may leave, and under which options."""
    request = case.request
    case.forbidden, case.options = consent.permission(
        case.policy.site,
        case.visit,
        case.found.visitor_cookie,
        gpc=request.gpc,
        dnt=request.dnt,
        is_located=request.client.public,
        is_bot=case.bot is not None,
    )


def suppressions(case: Case) -> None:
    """Find out whose withdrawal begins here, and whose a grant ends, as far as the visitor cookie proves it."""
    word = case.visit.consent
    if word is Consent.GRANTED and not case.forbidden:
        case.granted = proven(case.found.visitor_cookie, case.policy.person_keys)
    elif word is Consent.REVOKED:
        case.withdrawn = proven(case.found.visitor_cookie, case.policy.person_keys)[:1]
