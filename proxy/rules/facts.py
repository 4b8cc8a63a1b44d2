"""What the ledger keeps of events beside their identity: of pages and of servers alike; see ``EventFacts``."""

from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from proxy.model.event import Redaction
from proxy.model.event_facts import EventFacts, bits_of, parts_of
from proxy.model.request import Consent
from proxy.rules.case import Case
from proxy.rules.payload.money import currencies
from proxy.rules.payload.pages import CleanPage
from proxy.rules.policy import Policy

NOT_ASKED = "not_asked"
"""Of consent, where a server sent the event: whoever owns it answers for that."""
VISITOR_COOKIE = "visitor_cookie"
"""Says of consent what the page's earlier word was."""
# What ``EventFacts(...)`` does, without the call of a function in Python.
_facts_of = partial(tuple.__new__, EventFacts)


def of_visit(case: Case) -> EventFacts:
    """Return what is alike for all events of a page's request."""
    consent, source = _consent(case)
    return _alike(case.policy.site.name, consent, source, (), ())


def with_keys(facts: EventFacts, user_data: Iterable[str], page: CleanPage) -> EventFacts:
    """Return facts with what the events of one pixel share.

    Args:
        facts: Those of their visit.
        user_data: The match keys that they carry.
        page: What they say of their page.
    """
    return _alike(facts.site, facts.consent, facts.consent_source, tuple(user_data), page.redactions)


@lru_cache(maxsize=1024)
def _alike(
    site: str, consent: str, source: str, user_data: tuple[str, ...], redactions: tuple[Redaction, ...]
) -> EventFacts:
    """Return facts that most visits have in common with others: nothing of them is of one visitor."""
    return EventFacts(site, bits_of(user_data), consent, source, words(redactions))


def _consent(case: Case) -> tuple[str, str]:
    word, policy = case.visit.consent, case.policy
    if word is Consent.UNKNOWN:
        is_withdrawn = case.found.visitor_cookie.consent is Consent.REVOKED
        return (Consent.REVOKED, VISITOR_COOKIE) if is_withdrawn else (word, policy.site.consent)
    return word, policy.consent_source


def of_server(policy: Policy, user_data: Iterable[str] = ()) -> EventFacts:
    """Return what is alike for all events of a server that carry these match keys."""
    return _alike(policy.site.name, NOT_ASKED, "server", tuple(user_data), ())


def with_data(facts: EventFacts, data: Mapping[str, Any], redactions: tuple[str, ...]) -> EventFacts:
    """Return facts with what an event says of its own.

    Args:
        facts: What it shares with others.
        data: Its custom data as they leave.
        redactions: What was taken out of them.
    """
    value = parts_of(data["value"]) if "value" in data else None
    if value is None:
        return facts._replace(redactions=facts.redactions + redactions) if redactions else facts
    currency = data.get("currency", "")
    # Servers may say what they like, and each word would be a sum of its own.
    code = currency.upper() if isinstance(currency, str) else ""
    return _facts_of((*facts[:4], facts.redactions + redactions, value, code if code in currencies() else ""))


def words(redactions: Iterable[Redaction]) -> tuple[str, ...]:
    """Return redactions as the ledger says them, each once."""
    return tuple(dict.fromkeys([f"{what}:{place}" for what, place in redactions]))
