"""JSON Lines: each line is one event in Graph's format, or a whole request body whose ``data`` holds several."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.backfill.claims import Claim, Line, NotSent, UnreadableFileError
from proxy.model.server_request import NO_FIELDS, RequestFields

_OPENING_BRACKETS = (b"[", b"{")
_IDS = (("", "event_id"), ("user_data", "lead_id"), ("user_data", "external_id"), ("custom_data", "order_id"))


def json_claims(lines: Iterator[Line]) -> Iterator[Claim | NotSent]:
    """Yield the events of a file's lines; blank lines are skipped.

    Args:
        lines: All lines of the file.

    Raises:
        UnreadableFileError: When the file is one JSON document over several lines.
    """
    is_first = True
    for line in lines:
        content = line.content.removeprefix(b"\xef\xbb\xbf" if line.number == 1 else b"").strip()
        if is_first and content in _OPENING_BRACKETS:
            raise UnreadableFileError("a JSON document of several lines; JSON Lines has one event a line: jq -c '.[]'")
        is_first = is_first and not content
        if content:
            yield from _claims(line, content)


def _claims(line: Line, content: bytes) -> Iterator[Claim | NotSent]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        yield NotSent(line.number, line.end, f"no JSON: {error.msg}")
        return
    body = found if isinstance(found, dict) and "data" in found and "event_name" not in found else None
    events = _listed(body["data"] if body else found)
    fields = _fields(body) if body else NO_FIELDS
    for event in events:
        yield _claim(line, event, fields)


def _listed(value: Any) -> list[Any]:
    content = _decoded(value)
    return list(map(_decoded, content)) if isinstance(content, list) else [content]


def _decoded(value: Any) -> Any:
    """Return the value that a text holds as JSON, as in bodies of forms; any other value and text as it is."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value


def _fields(body: Mapping[str, Any]) -> RequestFields:
    texts = {name: body.get(name) for name in RequestFields._fields}
    return RequestFields(**{name: str(value) for name, value in texts.items() if type(value) in (str, int)})


def _claim(line: Line, event: Any, fields: RequestFields) -> Claim | NotSent:
    if not isinstance(event, dict):
        return NotSent(line.number, line.end, f"an event must be an object, not {type(event).__name__}")
    for room, name in _IDS:
        if _is_rounded(event.get(room) if room else event, name):
            why = f"{name} is a number whose digits are lost, such as 1.23E+12; write ids as text"
            return NotSent(line.number, line.end, why)
    try:
        return Claim(line.number, line.end, event, orjson.dumps(event), fields)
    except orjson.JSONEncodeError:
        return NotSent(line.number, line.end, "nested deeper than JSON can be written")


def _is_rounded(room: Any, name: str) -> bool:
    value = room.get(name) if isinstance(room, dict) else None
    return isinstance(value, float) or (isinstance(value, list) and any(isinstance(item, float) for item in value))
