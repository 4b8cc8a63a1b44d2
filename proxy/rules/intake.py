"""Body of a browser request → ``Visit``: what the page claims, checked member by member.

A bad event is refused by itself, so that it never costs its neighbours; only a body that is no visit at all raises.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard, TypeVar

import orjson

from proxy.model import Consent, Fate, FateNews, Hit, Refusal, Visit

MAX_BODY = 64 * 1024
MAX_EVENTS = 1000
_MAX_NAME = 100
_MAX_ID = 200
_MAX_TEXT = 8192
_MAX_PIXELS = 50
# Meta flattens custom data; contents is a list of objects, so four levels are plenty.
_MAX_DEPTH = 16
MAX_MEMBERS = 1000
"""Members of all custom data of a body, at all levels: each costs about as much as ten characters that are read."""
# The latest time a JavaScript Date can hold, in ms.
_MAX_TIME = 8_640_000_000_000_000
_FATES = {fate.value: fate for fate in Fate}
_CONSENTS = {consent.value: consent for consent in Consent}
_Member = TypeVar("_Member", Consent, Fate)


class Malformed(ValueError):  # noqa: N818 - the caller's fault, not an error of ours
    """The body is not a visit; the text says which member, what it was and what is accepted."""


def visit(body: bytes) -> Visit:
    """Read one body of wire version 1.

    Raises:
        Malformed: when no event of it can be judged.
    """
    wire = _object(body)
    if wire.get("v") != 1:
        raise Malformed(f"v: {_short(wire.get('v'))}; accepted: 1")
    events, fates = _list(wire, "events"), _list(wire, "fates")
    hits, refused = _sorted_out(events)
    return Visit(
        sent=_time(wire.get("sent"), "sent"),
        url=_text(wire, "url"),
        referrer=_text(wire, "referrer"),
        fbp=_text(wire, "fbp"),
        fbc=_text(wire, "fbc"),
        consent=_member(_CONSENTS, wire.get("consent", "unknown"), "consent"),
        dpo=_dpo(wire.get("dpo")),
        webdriver=wire.get("webdriver") is True,
        gpc=wire.get("gpc") is True,
        match=_match(wire.get("match", {})),
        hits=tuple(hits),
        fates=tuple(_news(fates)),
        refused=tuple(refused),
    )


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY:
        raise Malformed(f"body: {len(body)} bytes; accepted: {MAX_BODY}")
    try:
        wire = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"body: not JSON ({str(error)[:80]}); accepted: a JSON object") from error
    if not isinstance(wire, dict):
        raise Malformed("body: not an object; accepted: a JSON object")
    return wire


def _sorted_out(events: list[Any]) -> tuple[list[Hit], list[Refusal]]:
    hits: list[Hit] = []
    refused = []
    members = 0
    for index, event in enumerate(events):
        try:
            hit = _hit(event)
            members += _members(hit.data, MAX_MEMBERS - members)
            hits.append(hit)
        except Malformed as error:
            claimed = event.get("id") if isinstance(event, dict) else None
            refused.append(Refusal(index, claimed[:_MAX_ID] if isinstance(claimed, str) else "", str(error)))
    return hits, refused


def _hit(event: Any) -> Hit:
    if not isinstance(event, dict):
        raise Malformed("event: not an object; accepted: an object")
    data = event.get("data", {})
    if not isinstance(data, dict):
        raise Malformed("data: not an object; accepted: an object")
    return Hit(
        name=_label(event.get("name"), "name", _MAX_NAME),
        id=_label(event.get("id"), "id", _MAX_ID),
        at=_time(event.get("at"), "at"),
        pixels=_pixels(event.get("pixels")),
        data=data,
        fate=_member(_FATES, event.get("pixel", "pending"), "pixel"),
    )


def _news(fates: list[Any]) -> Iterator[FateNews]:
    """Yield the fates that can be read; a wrong one costs nothing but itself."""
    for entry in fates:
        if not isinstance(entry, dict):
            continue
        name, identity, fate = entry.get("name"), entry.get("id"), entry.get("pixel")
        if _is_label(name, _MAX_NAME) and _is_label(identity, _MAX_ID) and isinstance(fate, str) and fate in _FATES:
            yield FateNews(name, identity, _FATES[fate])


def _list(wire: Mapping[str, Any], key: str) -> list[Any]:
    value = wire.get(key, [])
    if not isinstance(value, list) or len(value) > MAX_EVENTS:
        got = len(value) if isinstance(value, list) else _short(value)
        raise Malformed(f"{key}: {got}; accepted: a list of at most {MAX_EVENTS}")
    return value


def _text(wire: Mapping[str, Any], key: str) -> str:
    """Return an optional text; one of another type or size is as good as none."""
    value = wire.get(key, "")
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT else ""


def _label(value: Any, key: str, most: int) -> str:
    if not _is_label(value, most):
        raise Malformed(f"{key}: {_short(value)}; accepted: 1 to {most} printable characters")
    return value


def _is_label(value: Any, most: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


def _time(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_TIME:
        raise Malformed(f"{key}: {_short(value)}; accepted: milliseconds since 1970")
    return int(value)


def _pixels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_PIXELS or not all(map(_is_pixel, value)):
        raise Malformed(f"pixels: {_short(value)}; accepted: a list of 1 to {_MAX_PIXELS} pixel ids, digits in quotes")
    return tuple(dict.fromkeys(value))


def _is_pixel(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 20 and value.isascii() and value.isdecimal()


def _member(known: Mapping[str, _Member], value: Any, key: str) -> _Member:
    if not isinstance(value, str) or value not in known:
        raise Malformed(f"{key}: {_short(value)}; accepted: {', '.join(known)}")
    return known[value]


def _dpo(value: Any) -> tuple[tuple[str, ...], int, int] | None:
    """Read ``[["LDU"], country, state]``; what cannot be read counts as Limited Data Use, the careful answer."""
    if value is None:
        return None
    match value:
        case [[] | ["LDU"] as options, int(country), int(state)]:
            return tuple(options), int(country), int(state)
        case _:
            return ("LDU",), 0, 0


def _match(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        return {}
    return {pixel: keys for pixel, keys in value.items() if _is_pixel(pixel) and isinstance(keys, dict)}


def _members(data: Mapping[str, Any] | list[Any], most: int, depth: int = 0) -> int:
    """Return how many members data have, at all levels; none is looked at behind the last accepted one."""
    if depth == _MAX_DEPTH and data:
        raise Malformed(f"data: nested deeper than {_MAX_DEPTH}; accepted: {_MAX_DEPTH} levels")
    count = len(data)
    if count > most:
        raise Malformed(f"data: too many members, with those of the events before; accepted: {MAX_MEMBERS} in a body")
    for member in data.values() if isinstance(data, dict) else data:
        if isinstance(member, dict | list):
            count += _members(member, most - count, depth + 1)
    return count


def _short(value: Any) -> str:
    """Name a value without repeating what may be personal: its type, and short plain words only."""
    if value is None:
        return "missing"
    if isinstance(value, bool | int | float):
        return repr(value)[:40]
    if isinstance(value, str) and len(value) <= 20 and value.isalnum():
        return repr(value)
    return f"a {type(value).__name__} of {len(value)}"
