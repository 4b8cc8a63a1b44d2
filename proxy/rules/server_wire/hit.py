"""One event as its sender wrote it → ``ServerHit``, in Meta's names and in the one form that Graph documents.

Source: Meta, server event parameters; what SDKs really send was seen by running them.
"""

from collections.abc import Mapping
from typing import Any

from proxy.graph import law
from proxy.model.request import Options
from proxy.model.server_request import RefusedHit, ServerHit
from proxy.rules import limits
from proxy.rules.permission.data_processing import options_of
from proxy.rules.server_wire import user_data
from proxy.rules.server_wire.app_data import app_data_of
from proxy.rules.server_wire.elements import Element, event_of
from proxy.rules.server_wire.values import (
    RefusedValueError,
    describe_value,
    flag_of,
    from_json_text,
    object_of,
    text_or_number,
    time_of,
    without_appendix,
    without_nulls,
)

_OPTIONS = "data_processing_options"
# Members that have a field of their own in a hit, and those that clients add although they are no part of an event.
_READ = frozenset({
    "event_name", "event_time", "event_id", "action_source", "user_data", "custom_data", "event_source_url",
    "referrer_url", "opt_out", _OPTIONS, f"{_OPTIONS}_country", f"{_OPTIONS}_state", "access_token", "accessKey",
    "appsecret_proof",
})  # fmt: skip


def hit_of(place: int, element: Element) -> ServerHit | RefusedHit:
    """Return an event in one shape, or why Graph would not take it.

    Args:
        place: Its index among the events of the request.
        element: The event, still unread.
    """
    try:
        event = event_of(element)
    except ValueError as error:
        return RefusedHit(place, "", str(error))
    try:
        return _hit(place, event)
    except RefusedValueError as error:
        return RefusedHit(place, claimed_id(event), str(error), subcode=error.subcode, field=error.field)


def claimed_id(event: Mapping[str, Any]) -> str:
    """Return the id of an event as text, cut to what an answer may repeat; empty if it has none."""
    return (text_or_number(event.get("event_id")) or "")[: limits.ID]


def _hit(place: int, event: Mapping[str, Any]) -> ServerHit:
    findings: list[str] = []
    source = _action_source(event.get("action_source"))
    return ServerHit(
        place=place,
        name=_name(event.get("event_name")),
        id=_id(event.get("event_id")),
        time_s=time_of(event.get("event_time")),
        action_source=source,
        user_data=user_data.keys_of(object_of(event.get("user_data"), "user_data"), findings),
        custom_data=without_nulls(object_of(event.get("custom_data"), "custom_data")),
        url=_address(event, "event_source_url", findings),
        referrer=_address(event, "referrer_url", findings),
        options=_options(event),
        opt_out=flag_of(event.get("opt_out"), "opt_out"),
        more=_more(event, findings),
        findings=tuple(dict.fromkeys(findings)),
    )


def _name(claimed: Any) -> str:
    text = text_or_number(claimed) if not isinstance(claimed, float) else None
    if text and text.strip() and len(text) <= limits.NAME and text.isprintable():
        return text
    why = f"event_name: {describe_value(claimed)}; accepted: 1 to {limits.NAME} printable characters"
    raise RefusedValueError(why, "event_name")


def _id(claimed: Any) -> str:
    if claimed is None or claimed == "":
        return ""
    text = text_or_number(claimed)
    if text and len(text) <= limits.ID and text.isprintable():
        return text
    raise RefusedValueError(
        f"event_id: {describe_value(claimed)}; accepted: 1 to {limits.ID} printable characters", "event_id"
    )


def _action_source(claimed: Any) -> str:
    source = claimed.strip().lower() if isinstance(claimed, str) else ""
    if source in law.ACTION_SOURCES:
        return source
    why = f"action_source: {describe_value(claimed)}; accepted: {', '.join(law.ACTION_SOURCES)}"
    raise RefusedValueError(why, "action_source")


def _address(event: Mapping[str, Any], field: str, findings: list[str]) -> str:
    claimed = event.get(field)
    if claimed is None or claimed == "":
        return ""
    if not isinstance(claimed, str):
        findings.append(f"{field}:unusable")
        return ""
    text = without_appendix(claimed.strip())
    address = limits.cut_address(text)
    if address != text:
        findings.append(f"{field}:cut" if address else f"{field}:unusable")
    return address


def _options(event: Mapping[str, Any]) -> Options | None:
    """Return the data processing options; an empty list means that none apply, None that the event does not say."""
    options = from_json_text(event.get(_OPTIONS))
    if options is None or options == "":
        return None
    if isinstance(options, list):
        options = [option for option in options if option is not None]
    elif isinstance(options, str):
        options = [options]
    return options_of([options, event.get(f"{_OPTIONS}_country"), event.get(f"{_OPTIONS}_state")])


def _more(event: Mapping[str, Any], findings: list[str]) -> dict[str, Any]:
    """Return the other members; those that Meta documents are brought into its form."""
    more: dict[str, Any] = {}
    for name, claimed in event.items():
        if name in _READ or claimed is None:
            continue
        if name == "app_data":
            value: Any = app_data_of(object_of(claimed, name))
        elif name == "original_event_data":
            value = _original(object_of(claimed, name), findings)
        elif name == "attribution_data":
            value = without_nulls(object_of(claimed, name))
        elif name == "messaging_channel":
            value = _channel(claimed)
        elif name == "advertiser_tracking_enabled":
            value = flag_of(claimed, name)
        else:
            value = without_nulls(claimed)
        if value not in (None, {}, ""):
            more[name] = value
    return more


def _channel(claimed: Any) -> str:
    if isinstance(claimed, str):
        return claimed.strip().lower()
    raise RefusedValueError(f"messaging_channel: {describe_value(claimed)}; accepted: a text", "messaging_channel")


def _original(claimed: Mapping[str, Any], findings: list[str]) -> dict[str, Any]:
    """Return the members that name the event which this one confirms; a time that is not valid is left out."""
    original = without_nulls(dict(claimed))
    for name in ("event_name", "order_id", "event_id"):
        if name in original:
            original[name] = text_or_number(original[name])
    if "event_time" in original:
        try:
            original["event_time"] = time_of(original["event_time"], "original_event_data.event_time")
        except RefusedValueError:
            findings.append("original_event_data.event_time:unusable")
            del original["event_time"]
    return {name: value for name, value in original.items() if value is not None}
