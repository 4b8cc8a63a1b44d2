"""Body of a browser request → ``Visit``, checked member by member: any body that is not as the tag writes it.

A bad event is refused by itself, so that it never costs its neighbours; only a body that is no visit at all raises.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NoReturn, TypeGuard, TypeVar

import orjson

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate
from proxy.model.request import Consent, Hit, RefusedEvent, Visit
from proxy.rules import limits
from proxy.rules.json_text import parsed
from proxy.rules.permission.data_processing import options_of
from proxy.rules.wire_types import MAX_TIME, MOST_ODD, PIXEL_ID, usual_hit

_BROWSER_COPIES = {browser_copy.value: browser_copy for browser_copy in BrowserCopy}
_CONSENTS = {consent.value: consent for consent in Consent}
_Member = TypeVar("_Member", Consent, BrowserCopy)


class Malformed(ValueError):  # noqa: N818 - the caller's fault, not an error of ours
    """The body is not a visit; the text says which member, what it was and what is accepted."""


def visit(body: bytes) -> Visit:
    """Read one body of wire version 1.

    Raises:
        Malformed: when no event of it can be judged.
    """
    wire = _object(body)
    if wire.get("v") != 1:
        raise Malformed(f"v: {_describe_value(wire.get('v'))}; accepted: 1")
    events, copy_updates = _list(wire, "events"), _list(wire, "fates")
    hits, refused = _split_events(events)
    url, about_url = _address(wire, "url", "event_source_url")
    referrer, about_referrer = _address(wire, "referrer", "referrer_url")
    return Visit(
        sent=_time(wire.get("sent"), "sent"),
        url=url,
        referrer=referrer,
        fbp=_text(wire, "fbp"),
        fbc=_text(wire, "fbc"),
        consent=_member(_CONSENTS, wire.get("consent", "unknown"), "consent"),
        dpo=None if wire.get("dpo") is None else options_of(wire["dpo"]),
        webdriver=wire.get("webdriver") is True,
        gpc=wire.get("gpc") is True,
        match=match_keys(wire.get("match", {})),
        hits=tuple(hits),
        copy_updates=tuple(_copy_updates(copy_updates)) if copy_updates else (),
        refused=tuple(refused),
        surplus=max(0, len(events) - 2 * limits.EVENTS),
        findings=about_url + about_referrer,
    )


def address(text: str, field: str) -> tuple[str, tuple[str, ...]]:
    """Return the address, cut if it is too long, and then the finding about that under the field's name."""
    if limits.is_short(text):
        return text, ()
    cut = limits.cut_address(text)
    return cut, (f"{field}:cut" if cut else f"{field}:unusable",)


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > limits.BODY:
        raise Malformed(f"body: {len(body)} bytes; accepted: {limits.BODY}")
    try:
        wire = parsed(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"body: not JSON ({str(error)[:80]}); accepted: a JSON object") from error
    if not isinstance(wire, dict):
        raise Malformed("body: not an object; accepted: a JSON object")
    return wire


def _split_events(events: list[Any]) -> tuple[list[Hit], list[RefusedEvent]]:
    hits: list[Hit] = []
    refused = []
    rows = members = odd = 0
    for index, event in enumerate(events[: limits.EVENTS]):
        try:
            if rows > limits.ROWS:  # once an event exceeds the limit, all later ones are refused unread
                _refuse_rows(rows)
            hit = usual_hit(event, index) if odd < MOST_ODD else None
            if hit is None:
                odd += 1
                hit = _hit(event, index)
            members += _members(hit.data, limits.MEMBERS - members) if hit.data else 0
            rows += len(hit.pixels)
            hits.append(hit if rows <= limits.ROWS else _refuse_rows(rows))
        except Malformed as error:
            refused.append(RefusedEvent(index, _claimed(event), str(error)))
    return hits, refused + _surplus(events) if len(events) > limits.EVENTS else refused


def _refuse_rows(rows: int) -> NoReturn:
    raise Malformed(f"pixels: {rows} with those of events before; accepted: {limits.ROWS} in a body")


def _surplus(events: list[Any]) -> list[RefusedEvent]:
    """Refuse the events behind the last accepted one, and name as many of them as are accepted: answers are bounded."""
    named = enumerate(events[limits.EVENTS : 2 * limits.EVENTS], limits.EVENTS)
    why = f"events: {len(events)}; accepted: the first {limits.EVENTS} of a body"
    return [RefusedEvent(index, _claimed(event), why) for index, event in named]


def _claimed(event: Any) -> str:
    claimed = event.get("id") if isinstance(event, dict) else None
    return claimed[: limits.ID] if isinstance(claimed, str) else ""


def _hit(event: Any, index: int) -> Hit:
    if not isinstance(event, dict):
        raise Malformed("event: not an object; accepted: an object")
    data = event.get("data", {})
    if not isinstance(data, dict):
        raise Malformed("data: not an object; accepted: an object")
    return Hit(
        name=_label(event.get("name"), "name", limits.NAME),
        id=_label(event.get("id"), "id", limits.ID),
        at=_time(event.get("at"), "at"),
        pixels=_pixels(event.get("pixels")),
        data=data,
        browser_copy=_member(_BROWSER_COPIES, event.get("pixel", "pending"), "pixel"),
        place=index,
    )


def _copy_updates(copy_updates: list[Any]) -> Iterator[BrowserCopyUpdate]:
    """Yield the updates of browser copies that can be read; a wrong one costs nothing but itself."""
    for entry in copy_updates[: limits.EVENTS]:
        if not isinstance(entry, dict):
            continue
        name, identity, browser_copy = entry.get("name"), entry.get("id"), entry.get("pixel")
        if (
            _is_label(name, limits.NAME)
            and _is_label(identity, limits.ID)
            and isinstance(browser_copy, str)
            and browser_copy in _BROWSER_COPIES
        ):
            yield BrowserCopyUpdate(name, identity, _BROWSER_COPIES[browser_copy])


def _list(wire: Mapping[str, Any], key: str) -> list[Any]:
    value = wire.get(key, [])
    if not isinstance(value, list):
        raise Malformed(f"{key}: {_describe_value(value)}; accepted: a list")
    return value


def _text(wire: Mapping[str, Any], key: str) -> str:
    """Return an optional text; "" if it is of another type, or too long."""
    value = wire.get(key, "")
    return value if isinstance(value, str) and len(value) <= limits.ADDRESS else ""


def _address(wire: Mapping[str, Any], key: str, field: str) -> tuple[str, tuple[str, ...]]:
    value = wire.get(key, "")
    if not isinstance(value, str):
        return "", ()
    return (value, ()) if value.isascii() and len(value) <= limits.ADDRESS else address(value, field)


def _label(value: Any, key: str, most: int) -> str:
    if _is_label(value, most):
        return value
    raise Malformed(f"{key}: {_describe_value(value)}; accepted: 1 to {most} printable characters")


def _is_label(value: Any, most: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


def _time(value: Any, key: str) -> int:
    if (type(value) is not int and type(value) is not float) or not 0 < value <= MAX_TIME:
        raise Malformed(f"{key}: {_describe_value(value)}; accepted: milliseconds since 1970")
    return int(value)


def _pixels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= limits.PIXELS or not all(map(_is_pixel, value)):
        accepted = f"a list of 1 to {limits.PIXELS} pixel ids, digits in quotes"
        raise Malformed(f"pixels: {_describe_value(value)}; accepted: {accepted}")
    return tuple(dict.fromkeys(value)) if len(value) > 1 else tuple(value)


def _is_pixel(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= PIXEL_ID and value.isascii() and value.isdecimal()


def _member(members: Mapping[str, _Member], value: Any, key: str) -> _Member:
    member = members.get(value) if isinstance(value, str) else None
    if member is None:
        raise Malformed(f"{key}: {_describe_value(value)}; accepted: {', '.join(members)}")
    return member


def match_keys(value: Any) -> dict[str, dict[str, Any]]:
    """Return the match keys by pixel; anything else is ignored."""
    if not value or not isinstance(value, dict):
        return {}
    first = islice(value.items(), limits.PIXELS)
    return {pixel: keys for pixel, keys in first if _is_pixel(pixel) and isinstance(keys, dict)}


def _members(data: Mapping[str, Any] | list[Any], most: int, depth: int = 0) -> int:
    """Return how many members data have, at all levels; raise as soon as they are more than ``most``, or too deep."""
    if depth == limits.DEPTH and data:
        raise Malformed(f"data: nested deeper than {limits.DEPTH}; accepted: {limits.DEPTH} levels")
    count = len(data)
    if count > most:
        raise Malformed(
            f"data: too many members, with those of the events before; accepted: {limits.MEMBERS} in a body"
        )
    for member in data.values() if isinstance(data, dict) else data:
        if type(member) is dict or type(member) is list:  # JSON has no others
            count += _members(member, most - count, depth + 1)
    return count


def _describe_value(value: Any) -> str:
    """Name a value without repeating what may be personal: its type, and short plain words only."""
    if value is None:
        return "missing"
    if isinstance(value, bool | int | float):
        return repr(value)[:40]
    if isinstance(value, str) and len(value) <= 20 and value.isalnum():
        return repr(value)
    return f"a {type(value).__name__} of {len(value)}"
