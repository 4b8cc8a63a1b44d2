"""Facts that the ledger keeps about events, both of pages and of servers; see ``EventFacts``."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from proxy.model.event import Redaction
from proxy.model.event_facts import EventFacts, bits_of
from proxy.rules.payload.custom_data import summed
from proxy.rules.policy import Policy

NOT_ASKED = "not_asked"
"""The word for consent if a server sent the event: the owner of that server answers for consent."""


@lru_cache(maxsize=1024)
def shared_facts(
    site: str, consent: str, source: str, user_data: tuple[str, ...], redactions: tuple[Redaction, ...]
) -> EventFacts:
    """Return facts that many events have in common: none of them is about a single visitor, so they may be cached.

    Args:
        site: The name of the site.
        consent: See ``EventFacts.consent``.
        source: See ``EventFacts.consent_source``.
        user_data: The match keys that the events carry.
        redactions: What was taken out of the addresses of their page.
    """
    return EventFacts(site, bits_of(user_data), consent, source, words(redactions))


def facts_of_server(policy: Policy, user_data: Iterable[str] = ()) -> EventFacts:
    """Return the facts that all events of a server with these match keys have in common."""
    return shared_facts(policy.site.name, NOT_ASKED, "server", tuple(user_data), ())


def with_data(facts: EventFacts, data: Mapping[str, Any], redactions: tuple[str, ...]) -> EventFacts:
    """Return facts with those about an event's own custom data.

    Args:
        facts: The facts that the event shares with others.
        data: Its custom data, as they are sent.
        redactions: What was taken out of the event.
    """
    value, currency = summed(data)
    if value is None and not redactions:
        return facts
    return facts._replace(redactions=facts.redactions + redactions, value=value, currency=currency)


def words(redactions: Iterable[Redaction]) -> tuple[str, ...]:
    """Return redactions in the form of the ledger, such as ``email:url``, each once."""
    return tuple(dict.fromkeys([f"{what}:{place}" for what, place in redactions]))
