"""What the ledger keeps of events beside their identity: of pages and of servers alike; see ``EventFacts``."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from proxy.model.event import Redaction
from proxy.model.event_facts import EventFacts, bits_of
from proxy.rules.payload.custom_data import summed
from proxy.rules.policy import Policy

NOT_ASKED = "not_asked"
"""Of consent, where a server sent the event: whoever owns it answers for that."""


@lru_cache(maxsize=1024)
def in_common(
    site: str, consent: str, source: str, user_data: tuple[str, ...], redactions: tuple[Redaction, ...]
) -> EventFacts:
    """Return facts that most events have in common with those of others: nothing of them is of one visitor.

    Args:
        site: The name of the site.
        consent: What was known of consent; likewise ``source``, see ``EventFacts``.
        source: See ``consent``.
        user_data: The match keys that the events carry.
        redactions: What was taken out of what they say of their page.
    """
    return EventFacts(site, bits_of(user_data), consent, source, words(redactions))


def of_server(policy: Policy, user_data: Iterable[str] = ()) -> EventFacts:
    """Return what is alike for all events of a server that carry these match keys."""
    return in_common(policy.site.name, NOT_ASKED, "server", tuple(user_data), ())


def with_data(facts: EventFacts, data: Mapping[str, Any], redactions: tuple[str, ...]) -> EventFacts:
    """Return facts with what an event says of its own.

    Args:
        facts: What it shares with others.
        data: Its custom data as they leave.
        redactions: What was taken out of them.
    """
    value, currency = summed(data)
    if value is None and not redactions:
        return facts
    return facts._replace(redactions=facts.redactions + redactions, value=value, currency=currency)


def words(redactions: Iterable[Redaction]) -> tuple[str, ...]:
    """Return redactions as the ledger says them, each once."""
    return tuple(dict.fromkeys([f"{what}:{place}" for what, place in redactions]))
