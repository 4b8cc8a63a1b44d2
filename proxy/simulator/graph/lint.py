"""Remarks on accepted events: what Graph takes without a complaint although it will match or report badly.

A remark is a problem's short name and the field it is about. The remarks are derived from Meta's parameter pages; none
of these problems makes Graph refuse an event, as far as its pages and recorded answers show.
"""

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from proxy.simulator.graph.rules import Event, is_amount
from proxy.simulator.graph.tables import APPENDIX, HASH, HASHED, NEVER_HASHED, USER_KEYS

Remark = tuple[str, str]

EMPTY_HASH = hashlib.sha256(b"").hexdigest()
CLICK = re.compile(r"fb\.\d+\.(\d+)\.([^.]+)(\..*)?", re.ASCII)
BROWSER_ID = re.compile(r"fb\.\d+\.\d{13}\.\d+(\..*)?", re.ASCII)


def lint(event: Event) -> list[Remark]:
    """Return all remarks on an accepted event, as (problem, field)."""
    return [remark for check in CHECKS for remark in check(event)]


def _website(event: Event) -> Iterator[Remark]:
    if event.get("action_source") == "website":
        url = event.get("event_source_url")
        if not url:
            yield "missing", "event_source_url"
        elif not url.startswith(("http://", "https://")):
            yield "not_http", "event_source_url"
        if not _user(event).get("client_user_agent"):
            yield "missing", "user_data.client_user_agent"


def _id(event: Event) -> Iterator[Remark]:
    if not event.get("event_id"):
        yield "missing", "event_id"
    if "event_id" in _custom(event):
        yield "misplaced", "custom_data.event_id"


def _hashes(event: Event) -> Iterator[Remark]:
    for key in HASHED:
        for value in _values(_user(event).get(key)):
            problem = _hash_problem(str(value))
            if problem:
                yield problem, f"user_data.{key}"


def _hash_problem(value: str) -> str | None:
    if value.startswith(EMPTY_HASH):
        return "hash_of_nothing"
    if HASH.fullmatch(value):
        return None
    if HASH.fullmatch(value.lower()):
        return "upper_case_hash"
    return "doubled_appendix" if HASH.fullmatch(APPENDIX.sub("", value)) else "unhashed"


def _plain(event: Event) -> Iterator[Remark]:
    for key in NEVER_HASHED:
        if HASH.fullmatch(str(_user(event).get(key)).lower()):
            yield "hashed", f"user_data.{key}"


def _external_id(event: Event) -> Iterator[Remark]:
    if any(not isinstance(value, str) for value in _values(_user(event).get("external_id"))):
        yield "not_text", "user_data.external_id"


def _address(event: Event) -> Iterator[Remark]:
    problem = _address_problem(_user(event).get("client_ip_address"))
    if problem:
        yield problem, "user_data.client_ip_address"


def _address_problem(value: Any) -> str | None:
    if not value:
        return None
    once = APPENDIX.sub("", str(value))
    if _ip(str(value)) is None and _ip(once) is None:
        return "doubled_appendix" if _ip(APPENDIX.sub("", once)) else "bad_address"
    found = _ip(str(value)) or _ip(once)
    return None if found is None or found.is_global else "private_address"


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _click_id(event: Event) -> Iterator[Remark]:
    value = _user(event).get("fbc")
    if value:
        problem = _click_problem(str(value), str(event.get("event_source_url") or ""))
        if problem:
            yield problem, "user_data.fbc"


def _click_problem(value: str, url: str) -> str | None:
    found = CLICK.fullmatch(value)
    if found is None:
        return "bad_format"
    if len(found[1]) != 13:
        return "not_milliseconds"
    if _doubled(found[3]):
        return "doubled_appendix"
    return (
        "altered_case" if found[2] not in (ids := _fbclids(url)) and found[2].lower() in map(str.lower, ids) else None
    )


def _doubled(tail: str | None) -> bool:
    return APPENDIX.search(APPENDIX.sub("", tail or "")) is not None


def _fbclids(url: str) -> list[str]:
    try:
        return parse_qs(urlsplit(url).query).get("fbclid", [])
    except ValueError:
        return []


def _browser_id(event: Event) -> Iterator[Remark]:
    value = _user(event).get("fbp")
    found = BROWSER_ID.fullmatch(str(value))
    if value and found is None:
        yield "bad_format", "user_data.fbp"
    if found and _doubled(found[1]):
        yield "doubled_appendix", "user_data.fbp"


def _unknown_keys(event: Event) -> Iterator[Remark]:
    for key in _user(event).keys() - USER_KEYS:
        yield "unknown", f"user_data.{key}"


def _money(event: Event) -> Iterator[Remark]:
    custom = _custom(event)
    if custom.get("value") is not None and not is_amount(custom["value"]):
        yield "not_a_number", "custom_data.value"
    if custom.get("value") is not None and not custom.get("currency"):
        yield "missing", "custom_data.currency"


def _contents(event: Event) -> Iterator[Remark]:
    if any(not isinstance(item, dict) or not item.get("id") for item in _values(_custom(event).get("contents"))):
        yield "missing", "custom_data.contents.id"


def _limited_use(event: Event) -> Iterator[Remark]:
    if event.get("data_processing_options") == ["LDU"]:
        for name in ("data_processing_options_country", "data_processing_options_state"):
            if event.get(name) is None:
                yield "missing", name


def _app(event: Event) -> Iterator[Remark]:
    if event.get("action_source") == "app":
        for name in ("application_tracking_enabled", "advertiser_tracking_enabled"):
            if (event.get("app_data") or {}).get(name) is None and event.get(name) is None:
                yield "missing", f"app_data.{name}"


def _channel(event: Event) -> Iterator[Remark]:
    if event.get("action_source") == "business_messaging" and not event.get("messaging_channel"):
        yield "missing", "messaging_channel"


def _lead(event: Event) -> Iterator[Remark]:
    if event.get("action_source") == "system_generated" and _user(event).get("lead_id"):
        if _custom(event).get("event_source") != "crm":
            yield "missing", "custom_data.event_source"
        if not _custom(event).get("lead_event_source"):
            yield "missing", "custom_data.lead_event_source"


def _user(event: Event) -> dict[str, Any]:
    return event.get("user_data") or {}


def _custom(event: Event) -> dict[str, Any]:
    return event.get("custom_data") or {}


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value not in (None, "") else []


CHECKS: tuple[Callable[[Event], Iterator[Remark]], ...] = (
    _website,
    _id,
    _hashes,
    _plain,
    _external_id,
    _address,
    _click_id,
    _browser_id,
    _unknown_keys,
    _money,
    _contents,
    _limited_use,
    _app,
    _channel,
    _lead,
)
