"""Events and dead letters as the API and the commands print them: nothing that says who the visitor is."""

from dataclasses import asdict
from typing import Any

import orjson

from proxy.model.event_facts import VALUE_SCALE, EventFacts, names_of
from proxy.model.ledger import LedgerRow
from proxy.queue.contract import DeadLetter, WaitingEvent

_HIDDEN_COLUMNS = {"visitor", "facts"}


def event_json(row: LedgerRow) -> dict[str, Any]:
    """Return a finished event; the browser copy of a server's event is an empty text."""
    members = {key: value for key, value in row._asdict().items() if key not in _HIDDEN_COLUMNS}
    return {**members, "browser_copy": row.browser_copy or "", **facts_json(row.facts)}


def waiting_json(event: WaitingEvent) -> dict[str, Any]:
    """Return an event that waits."""
    return {
        "status": "waiting",
        "pixel": event.pixel,
        "name": event.name,
        "id": event.id,
        "time_s": event.time_s,
        "arrived": event.arrived,
        "action_source": event.action_source,
        "browser_copy": event.browser_copy or "",
        "findings": event.findings,
        "attempts": event.attempts,
        "held_until": event.held_until or None,
        "suspect": event.is_suspect,
        **facts_json(event.facts),
    }


def facts_json(facts: EventFacts) -> dict[str, Any]:
    """Return the facts of an event; the value in units of the currency."""
    value = None if facts.value is None else facts.value / VALUE_SCALE
    return {**facts._asdict(), "match_keys": names_of(facts.match_keys), "value": value}


def dead_letter_json(dead_letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter, with the names of its match keys, but not their values."""
    event = orjson.loads(dead_letter.payload or b"{}")
    event["user_data"] = sorted(event.get("user_data", {}))
    columns = {key: value for key, value in asdict(dead_letter).items() if key not in {"payload", "graph_error"}}
    return {**columns, **asdict(dead_letter.graph_error), "event": event}
