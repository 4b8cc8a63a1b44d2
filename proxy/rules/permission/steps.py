"""What a visit may do: earlier words, what the visitor is, whether anything of it may leave."""

from proxy.rules import facts
from proxy.rules.case import Case
from proxy.rules.identity.visitor_cookie import NONE_FOUND
from proxy.rules.permission import consent
from proxy.rules.permission.bots import bot_reason


def take(case: Case) -> None:
    """Find out what the visit may do."""
    earlier_words(case)
    machine(case)
    permission(case)


def earlier_words(case: Case) -> None:
    """Find the visitor cookie, which holds them; that of another site's page is none of ours."""
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
    case.facts = facts.of_visit(case)
