"""What Graph refuses, event by event: pure rules that share nothing with the proxy's own.

Where the sources are Meta's pages or recorded answers, the subcode is Meta's. Where Meta documents a field as
required but no answer is on record, the refusal is code 100 without a subcode: strict on purpose, unconfirmed.
The server-event page is the source unless a rule names another.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from proxy.simulator.graph.answers import ApiError
from proxy.simulator.graph.tables import (
    ACCEPTED_VALUES,
    DAY,
    FUTURE,
    LEAD_ID,
    MAX_AGE,
    MAX_AGE_IN_STORE,
    MAX_DEPTH,
    MAX_EVENTS,
    MESSAGING,
    SOURCES,
    TOO_BROAD,
    TYPES,
    USER_KEYS,
)

Event = dict[str, Any]

NUMBER = re.compile(r"-?\d+(\.\d+)?")
CURRENCY = re.compile(r"[A-Za-z]{3}")


def batch_refusal(events: Sequence[Any], now: float) -> ApiError | None:
    """Return why the whole request is refused, or None; one bad event is enough, and the first one is the reason.

    Args:
        events: The decoded `data`, each event in the shape that `read` gives it.
        now: Server time, Unix seconds.
    """
    if not 1 <= len(events) <= MAX_EVENTS:
        return _invalid(f"data holds {len(events)} events; accepted are 1 to {MAX_EVENTS} per request", "data")
    return _first(event_refusal(event, now) for event in events)


def event_refusal(event: Any, now: float) -> ApiError | None:
    """Return why an event, in the shape that `read` gives it, is refused, or None; `now` is Unix seconds."""
    if not isinstance(event, dict):
        return _invalid(f"an event must be an object, not {type(event).__name__}", "data")
    return _first(rule(event) for rule in SHAPE) or _age(event, now) or _first(rule(event) for rule in CONTENT)


def filled_keys(event: Event) -> frozenset[str]:
    """Return the documented customer parameters that hold something; nulls, blanks and empty lists hold nothing."""
    return frozenset(
        key for key, value in (event.get("user_data") or {}).items() if key in USER_KEYS and _filled(value)
    )


def is_amount(value: Any) -> bool:
    """Tell whether a value is an amount: a number, or a number as text, which Meta's samples show too."""
    return type(value) in (int, float) or (isinstance(value, str) and NUMBER.fullmatch(value) is not None)


def _filled(value: Any) -> bool:
    return any(map(_filled, value)) if isinstance(value, list) else value not in (None, "", {})


def _first(refusals: Iterable[ApiError | None]) -> ApiError | None:
    return next((refusal for refusal in refusals if refusal is not None), None)


def _invalid(message: str, *blame: str) -> ApiError:
    return ApiError(f"(#100) {message}", blame=blame)


def _typed(event: Event) -> ApiError | None:
    return _first(
        _invalid(f"{name} must be {ACCEPTED_VALUES.get(name, kind.__name__)}, not {type(event[name]).__name__}", name)
        for name, kind in TYPES.items()
        # isinstance would take true for the integer 1.
        if event.get(name) is not None and type(event[name]) is not kind
    )


def _nested_too_deep(event: Event) -> ApiError | None:
    return _invalid(f"an event may nest {MAX_DEPTH} levels deep", "data") if _is_deeper(event, MAX_DEPTH) else None


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _required(event: Event) -> ApiError | None:
    missing = [name for name in ("event_name", "event_time", "action_source") if event.get(name) in (None, "")]
    return _invalid(f"{missing[0]} is required", missing[0]) if missing else None


def _known_source(event: Event) -> ApiError | None:
    source = event["action_source"]
    if source in SOURCES:
        return None
    return _invalid(f"action_source must be one of {', '.join(sorted(SOURCES))}", "action_source")


def _age(event: Event, now: float) -> ApiError | None:
    limit = MAX_AGE_IN_STORE if event["action_source"] == "physical_store" else MAX_AGE
    if event["event_time"] < now - limit:
        return _too_old(limit // DAY)
    return _from_the_future() if event["event_time"] > now + FUTURE else None


def _too_old(days: int) -> ApiError:
    return ApiError(
        subcode=2804003,
        user_title="Event Timestamp Too Old",
        user_message=f"event_time lies more than {days} days back.",
        blame=("event_time",),
    )


def _from_the_future() -> ApiError:
    return ApiError(
        subcode=2804004,
        user_title="Event Timestamp In The Future",
        user_message=f"event_time lies more than {FUTURE} s ahead; it is in seconds, not milliseconds.",
        blame=("event_time",),
    )


def _identifiable(event: Event) -> ApiError | None:
    keys = filled_keys(event)
    if not any(keys <= broad for broad in TOO_BROAD):
        return None
    return ApiError(
        subcode=2804050,
        user_title="Not Enough Customer Information",
        user_message=f"user_data holds {', '.join(sorted(keys)) or 'nothing usable'}: too broad to match a person.",
        blame=("user_data",),
    )


def _purchase_value(event: Event) -> ApiError | None:
    if event["event_name"] != "Purchase" or is_amount(_custom(event, "value")):
        return None
    return ApiError(
        subcode=2804009,
        user_title="Missing Value for Purchase Event",
        user_message="A Purchase needs custom_data.value, a number.",
        blame=("custom_data", "value"),
    )


def _purchase_currency(event: Event) -> ApiError | None:
    currency = _custom(event, "currency")
    if event["event_name"] != "Purchase" or (isinstance(currency, str) and CURRENCY.fullmatch(currency)):
        return None
    return ApiError(
        subcode=2804011,
        user_title="Invalid Currency For Purchase Event",
        user_message="A Purchase needs custom_data.currency, three letters of ISO 4217.",
        blame=("custom_data", "currency"),
    )


def _messaging(event: Event) -> ApiError | None:
    if event["action_source"] != "business_messaging" or event["event_name"] in MESSAGING:
        return None
    return ApiError(
        subcode=2804066,
        user_title="Event Name Not Allowed For Business Messaging",
        user_message=f"Accepted are {', '.join(sorted(MESSAGING))}.",
        blame=("event_name",),
    )


def _lead(event: Event) -> ApiError | None:
    lead = (event.get("user_data") or {}).get("lead_id")
    if lead in (None, "") or (type(lead) in (int, str) and LEAD_ID.fullmatch(str(lead))):
        return None
    return _invalid("user_data.lead_id must be 15 to 17 digits, a whole number or text", "user_data", "lead_id")


def _app(event: Event) -> ApiError | None:
    if event["action_source"] != "app" or _is_device((event.get("app_data") or {}).get("extinfo")):
        return None
    return ApiError(
        subcode=2804043,
        user_title="Invalid Extended Device Info",
        user_message='app_data.extinfo needs 16 slots; slot 0 is "a2" or "i2", slot 4 the version of the system.',
        blame=("app_data", "extinfo"),
    )


def _is_device(extinfo: Any) -> bool:
    return isinstance(extinfo, list) and len(extinfo) == 16 and extinfo[0] in ("a2", "i2") and _filled(extinfo[4])


def _custom(event: Event, name: str) -> Any:
    return (event.get("custom_data") or {}).get(name)


Rule = Callable[[Event], ApiError | None]
SHAPE: tuple[Rule, ...] = (_nested_too_deep, _typed, _required, _known_source)
CONTENT: tuple[Rule, ...] = (_identifiable, _purchase_value, _purchase_currency, _messaging, _lead, _app)
