"""What a visit may do: consent and opt-out of earlier visits, whether it is a machine's, whether anything may leave."""

from proxy.model.request import Consent
from proxy.rules import facts
from proxy.rules.case import Case
from proxy.rules.identity.visitor_cookie import NONE_FOUND
from proxy.rules.permission import consent
from proxy.rules.permission.bots import bot_reason

VISITOR_COOKIE = "visitor_cookie"
"""The source of a consent that the visitor cookie remembers from an earlier page."""


def decide_permission(case: Case) -> None:
    """Find out what the visit may do."""
    find_visitor_cookie(case)
    machine(case)
    permission(case)


def find_visitor_cookie(case: Case) -> None:
    """Find the visitor cookie, which holds earlier consent and opt-out; on a page of another site it is not used."""
    if case.scope.at_home and case.cookies:
        found = case.policy.keys.find(case.cookies, case.policy.site.name, now=case.request.now)
        case.found = found or NONE_FOUND


def machine(case: Case) -> None:
    """Find out whether the visitor is a machine, where that matters."""
    if case.policy.judges_bots:
        request = case.request
        case.bot = bot_reason(
            case.user_agent, webdriver=case.visit.webdriver, brands=request.brands, platform=request.platform
        )


def permission(case: Case) -> None:
    """Find out whether anything may leave, and under which options."""
    request, site = case.request, case.policy.site
    case.gpc = consent.signals_gpc(request.gpc, case.visit) if request.gpc else case.visit.gpc
    case.forbidden, case.options = consent.permission(
        site,
        case.visit,
        case.found.visitor_cookie,
        gpc=case.gpc,
        dnt=request.dnt,
        is_located=request.client.public,
        is_bot=case.bot is not None,
    )
    case.facts = facts.shared_facts(site.name, *_said_of_consent(case), (), ())


def _said_of_consent(case: Case) -> tuple[str, str]:
    """Return what is known of consent, and what says so."""
    word, policy = case.visit.consent, case.policy
    if word is Consent.UNKNOWN:
        is_withdrawn = case.found.visitor_cookie.consent is Consent.REVOKED
        return (Consent.REVOKED, VISITOR_COOKIE) if is_withdrawn else (word, policy.site.consent)
    return word, policy.consent_source
