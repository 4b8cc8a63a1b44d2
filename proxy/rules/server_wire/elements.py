"""Fields that hold the events of a request → one unread element for each event; and each element → an object.

``data`` comes as a list of objects, as a list of JSON texts (Python and Ruby SDKs), as JSON text of such a list, as one
object, as an object with numbers for names, as repeated fields ``data`` or ``data[]``, and as PHP nests fields:
``data[0][event_name]``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import orjson

from proxy.rules import server_limits
from proxy.rules.effort import Parts
from proxy.rules.json_text import decoded, parsed_exactly
from proxy.rules.server_wire.bounds import is_bounded
from proxy.rules.server_wire.fields import Field, content_parts, name_of, text_of
from proxy.rules.server_wire.lists import LIST, elements_ahead, reason

Element: TypeAlias = bytes | msgspec.Raw | Mapping[str, Any]
"""One event: as JSON, or as the object that nested form fields make."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_PLACE = re.compile(r"\[([^\[\]]{0,100})\]")
_NAME = re.compile(r"data((?:\[[^\[\]]{0,100}\]){0,20})")
# Names and contents of up to so many bytes are short: a hundred of them are unescaped without a pause.
_SHORT = 512
# How often JSON may be wrapped in JSON text: an SDK may do it by mistake, but not more often.
_MOST_WRAPPINGS = 2
_DATA = "accepted: a list of events, as objects or JSON texts"


def elements_parts(data: Sequence[Field]) -> Parts[list[Element]]:
    """Return the elements of all fields that hold events, in parts, in the order in which they came; nested ones last.

    Raises:
        ValueError: when they cannot be told apart.
    """
    elements: list[Element] = []
    nested: dict[str, Any] = {}
    for number, field in enumerate(data):
        if number % 100 == 99 or len(field.name) > _SHORT:
            yield
        match = _NAME.fullmatch(name_of(field))
        if match is None:
            continue
        path = _PLACE.findall(match[1])
        if len(path) > 1:
            is_short = len(field.content) <= _SHORT
            text = text_of(field) if is_short else (yield from content_parts(field)).decode(errors="replace")
            _nest(nested, path, text)
        else:
            content = yield from content_parts(field)
            elements += yield from _listed_parts(content, is_one=path not in ([], [""]))
    return [*elements, *_values(nested)]


def event_of(element: Element) -> Mapping[str, Any]:
    """Return the object that an element is.

    Raises:
        ValueError: when it is none, or too large; the text says so, and repeats nothing of it.
    """
    text = bytes(element) if isinstance(element, bytes | msgspec.Raw) else orjson.dumps(element)
    if len(text) > server_limits.EVENT:
        raise ValueError(f"event: {len(text)} bytes; accepted: {server_limits.EVENT}")
    event = _json(text) if isinstance(element, bytes | msgspec.Raw) else element
    if not isinstance(event, dict):
        raise ValueError("event: not an object; accepted: an object, or JSON text of it")  # noqa: TRY004 - the sender's
    if not is_bounded(event):
        accepted = f"{server_limits.MEMBERS} members, {server_limits.DEPTH} levels of them"
        raise ValueError(f"event: too large; accepted: {accepted}")
    return event


def unwrapped(content: bytes) -> bytes:
    """Return JSON that is not a text: a text is unwrapped, since its content is taken for JSON too.

    Raises:
        ValueError: when it is no JSON, or wrapped too often.
    """
    content = content.strip()
    for _ in range(_MOST_WRAPPINGS):
        if not content.startswith(b'"'):
            return content
        content = decoded(_TEXT, content).encode(errors="replace").strip()
    if content.startswith(b'"'):
        raise ValueError("data: JSON text in JSON text, too often; " + _DATA)
    return content


def _listed_parts(content: bytes, *, is_one: bool) -> Parts[Iterable[Element]]:
    """Return the elements of a list, of an object with numbers for names, or the only one, in parts."""
    if not content.strip():
        return ()
    content = unwrapped(content)
    if not content.startswith((b"[", b"{")) or (is_one and content.startswith(b"{")):
        return (content,)
    if content.startswith(b"["):
        return (yield from list_parts(content))
    yield from _bounded_parts(content)
    members = _decoded(_OBJECT, content)
    has_numbers = members and all(name.isdecimal() for name in members)
    return list(members.values()) if has_numbers else (content,)


def list_parts(content: bytes) -> Parts[list[Element]]:
    """Return the elements of a list, in parts.

    Raises:
        ValueError: when it is none, or has too many elements.
    """
    ahead = yield from elements_ahead(content, 1)
    if ahead.number:
        content = b"[" + content[ahead.rest :]
    yield from _bounded_parts(content)
    rest: list[Element] = _decoded(LIST, content, is_rest=ahead.number > 0)
    check_count(ahead.number + len(rest))
    return [*ahead.elements, *rest]


def check_count(events: int) -> None:
    """Refuse more events than a request may have.

    Raises:
        ValueError: when they are more.
    """
    if events > server_limits.EVENTS:
        raise ValueError(f"data: {events} events; accepted: 1 to {server_limits.EVENTS}")


def _bounded_parts(content: bytes) -> Parts[None]:
    """Refuse what may have millions of members before it is taken apart."""
    if len(content) > server_limits.COMMAS:
        yield
        if content.count(b",") > server_limits.COMMAS:
            raise ValueError(f"data: too large; accepted: {server_limits.EVENTS} events")
        yield


def _decoded(decoder: Any, content: bytes, *, is_rest: bool = False) -> Any:
    try:
        return decoded(decoder, content)
    except RecursionError as error:
        raise ValueError(f"data: nested too deep; accepted: {server_limits.DEPTH} levels of an event") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"data: not JSON ({reason(error, is_rest=is_rest)}); {_DATA}") from error


def _json(element: bytes) -> Any:
    try:
        return parsed_exactly(unwrapped(element))
    except RecursionError as error:
        raise ValueError(f"event: nested too deep; accepted: {server_limits.DEPTH} levels") from error
    except ValueError as error:
        raise ValueError(f"event: not JSON ({str(error)[:80]}); accepted: an object, or JSON text of it") from error


def _nest(nested: dict[str, Any], path: Sequence[str], value: str) -> None:
    """Put a field where its name says; empty brackets append. A value in the place of an inner object is replaced."""
    inner = nested
    for name in path[:-1]:
        below = inner.get(name or str(len(inner)))
        if not isinstance(below, dict):
            below = inner[name or str(len(inner))] = {}
        inner = below
    inner[path[-1] or str(len(inner))] = value


def _values(nested: dict[str, Any]) -> list[Element]:
    return [_as_lists(event) for event in nested.values() if isinstance(event, dict)]


def _as_lists(value: Any) -> Any:
    """Return nested fields with lists for what is numbered from 0 without a gap."""
    if not isinstance(value, dict):
        return value
    inner = {name: _as_lists(member) for name, member in value.items()}
    return list(inner.values()) if list(inner) == [str(number) for number in range(len(inner))] else inner
