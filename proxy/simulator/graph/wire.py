"""From an HTTP request to its parameters, in every encoding that Conversions API clients use.

Meta's using-the-api page shows a JSON body and a form whose one `data` field is a JSON array as text; the Python
SDK sends a list of JSON strings, PHP programs bracketed fields, and Meta's Gateway sample JSON under a form's content
type. The token may stand in the address, in the body or in an Authorization header.
Pure: bytes and strings in, values out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from proxy.simulator.graph.brackets import TooDeepError, nested
from proxy.simulator.graph.reading import list_from_numbered

MIME = re.compile(r"[^;\s]*")
BOUNDARY = re.compile(r'boundary="?([^";]+)', re.IGNORECASE)
PART_NAME = re.compile(rb'\bname="?([^";\r\n]*)', re.IGNORECASE)
REQUEST_FIELDS = ("test_event_code", "partner_agent", "upload_tag", "upload_id", "upload_source", "namespace_id")

Pairs = list[tuple[str, Any]]


class UnreadableError(ValueError):
    """The body or its `data` is not what Graph can read; the text says what was wrong."""


def parameters(query: str, content_type: str, body: bytes) -> Pairs:
    """Return all parameters of a request, those of the address first.

    Args:
        query: The query of the address, not decoded.
        content_type: The header. A body that begins like a JSON object is read as JSON, unless it is declared as
            multipart. Any other body carries parameters only if its type is JSON, multipart or urlencoded, as with PHP
            servers.
        body: The body as it came.

    Raises:
        UnreadableError: When a body that should be JSON is not a JSON object.
    """
    mime = MIME.match(content_type)
    reader = READERS.get(mime.group().lower() if mime else "", _nothing)
    looks_like_json = reader is not _multipart and body.lstrip()[:1] == b"{"
    return [*urlencoded(query), *(_json if looks_like_json else reader)(body, content_type)]


def urlencoded(text: str) -> Pairs:
    """Return the pairs of a query string or form, blank values kept; broken escapes become U+FFFD."""
    return [(clean(name), clean(value)) for name, value in parse_qsl(text, keep_blank_values=True)]


def token(pairs: Pairs, authorization: str) -> str | None:
    """Return the access token of the address, else of the body, else of `Authorization: Bearer`; None without one."""
    scheme, _, bearer = authorization.partition(" ")
    return first(pairs, "access_token") or (bearer.strip() if scheme.lower() == "bearer" else None) or None


def first(pairs: Pairs, name: str) -> str | None:
    """Return the first text value of a parameter."""
    return next((value for key, value in pairs if key == name and isinstance(value, str)), None)


def flat(pairs: Pairs) -> dict[str, str]:
    """Return the text values by name; the last one if a name comes several times."""
    return {name: value for name, value in pairs if isinstance(value, str)}


def request_fields(pairs: Pairs) -> dict[str, str]:
    """Return what a request says of all its events: the upload and test fields that stand beside `data`."""
    found = {name: value for name, value in reversed(pairs) if name in REQUEST_FIELDS and type(value) in (str, int)}
    return {name: str(found[name]) for name in REQUEST_FIELDS if found.get(name) not in (None, "")}


def clean(text: str) -> str:
    """Return a text that any encoder takes: aiohttp hands over raw bytes of an address as lone surrogates."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def events(pairs: Pairs) -> list[Any]:
    """Return the events of `data`, decoded; whether each is an object is for the rules to say.

    Raises:
        UnreadableError: When there is no `data`, an object where a list belongs, or text that is not JSON.
    """
    values = [value for key, value in pairs if key == "data"]
    try:
        fields = nested(pairs, "data")
    except TooDeepError as error:
        raise UnreadableError(str(error)) from error
    if not values and not fields:
        raise UnreadableError("The parameter data is required.")
    return [event for value in [*values, *fields] for event in _listed(value)]


def decoded(value: Any, name: str = "data") -> Any:
    """Return what a text says in JSON, and any other value as it is.

    Raises:
        UnreadableError: When the text is not JSON; `name` is the parameter to blame.
    """
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"The parameter {name} is not valid JSON: {error}") from error


def _listed(value: Any) -> Iterator[Any]:
    if not isinstance(value, str | list | dict) or value == {}:
        raise UnreadableError("The parameter data must be an array of events.")
    content = list_from_numbered(decoded(value))
    yield from map(decoded, content) if isinstance(content, list) else (content,)


def _json(body: bytes, _: str) -> Pairs:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"The body is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableError("The body must be a JSON object.")
    return list(content.items())


def _form(body: bytes, _: str) -> Pairs:
    return urlencoded(body.decode(errors="replace"))


def _multipart(body: bytes, content_type: str) -> Pairs:
    found = BOUNDARY.search(content_type)
    if found is None:
        raise UnreadableError("The multipart body has no boundary.")
    parts = (b"\r\n" + body).split(b"\r\n--" + found.group(1).strip().encode(errors="replace"))
    return [pair for part in parts[1:] for pair in _part(part)]


def _part(part: bytes) -> Iterator[tuple[str, str]]:
    head, separator, value = part.partition(b"\r\n\r\n")
    name = PART_NAME.search(head)
    if separator and name:
        yield name.group(1).decode(errors="replace"), value.decode(errors="replace")


def _nothing(_: bytes, __: str) -> Pairs:
    return []


READERS: Mapping[str, Callable[[bytes, str], Pairs]] = {
    "application/json": _json,
    "application/x-www-form-urlencoded": _form,
    "multipart/form-data": _multipart,
}
