"""Body of a server's request → what it claims: access keys, request fields, and its events, still unread.

This is the first look, before the sender is authenticated, so it costs little whatever the body is. Meta's clients send
JSON, forms and multipart bodies; some send JSON with the content type of a form, of text, or with none, as in the
sample that Meta gives for its Gateway.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from proxy.model.server_request import NO_FIELDS, RequestFields, ServerBody
from proxy.rules import server_limits
from proxy.rules.effort import Parts, run_parts
from proxy.rules.json_text import decoded
from proxy.rules.server_wire.fields import Field, form_fields, text_of
from proxy.rules.server_wire.lists import NOTHING_AHEAD, Ahead, elements_ahead, reason
from proxy.rules.server_wire.multipart import multipart_fields

KEY_NAMES = ("access_token", "accessKey")
"""Where Graph and the Gateway take their keys."""
_BLANKS, _BOM = b" \t\r\n", b"\xef\xbb\xbf"
_OF_FORMS = frozenset({"", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"})
_ACCEPTED = "application/json, application/x-www-form-urlencoded or multipart/form-data"


class ServerClaim(NamedTuple):
    """What a server's request says before its events are read."""

    access_keys: tuple[str, ...] = ()
    """The different keys in query and body, those of the query first; a key in a header is read by the endpoint."""
    fields: RequestFields = NO_FIELDS
    data: tuple[Field, ...] = ()
    """The fields that hold the events, except those in ``elements``; only ``reading`` uses them."""
    elements: tuple[msgspec.Raw, ...] = ()
    """The first events of a long list, split already."""
    number: int = 0
    """How many events were split; not all are kept if they are more than a request may have."""
    problem: str = ""
    """Why the body cannot be read: the member, and what is accepted; ``access_keys`` has what was found all the
    same."""


class _JsonBody(msgspec.Struct, gc=False):
    data: msgspec.Raw = msgspec.Raw()
    access_token: msgspec.Raw = msgspec.Raw()
    accessKey: msgspec.Raw = msgspec.Raw()  # noqa: N815 - Meta's name
    test_event_code: msgspec.Raw = msgspec.Raw()
    partner_agent: msgspec.Raw = msgspec.Raw()
    upload_tag: msgspec.Raw = msgspec.Raw()
    upload_id: msgspec.Raw = msgspec.Raw()
    upload_source: msgspec.Raw = msgspec.Raw()
    namespace_id: msgspec.Raw = msgspec.Raw()


_JSON = msgspec.json.Decoder(_JsonBody)
_WORDS = (*KEY_NAMES, *RequestFields._fields)
_EVENTS = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\[')
# How far the list of events is looked for: it is the first member, or stands behind a few short ones.
_MOST_BEFORE = 64 * 1024
# Bytes from which on a body is read in parts.
_LONG = 128 * 1024


def claim_of(body: ServerBody) -> ServerClaim:
    """Return what a request claims; no body raises."""
    return run_parts(claim_parts(body))


def claim_parts(body: ServerBody) -> Parts[ServerClaim]:
    """Return what a request claims, in parts; no body raises."""
    problems: list[str] = []
    in_query, in_body = _Found(), _Found()
    ahead = NOTHING_AHEAD
    try:
        in_query.add_all(form_fields(body.query.encode(errors="replace")))
        fields, ahead = yield from _fields_parts(body)
        in_body.add_all(fields)
    except ValueError as error:
        problems.append(str(error))
    words = in_query.words | in_body.words
    problems += [
        f"{name}: {len(words[name])} characters; accepted: {server_limits.WORD}"
        for name in RequestFields._fields
        if len(words.get(name, "")) > server_limits.WORD
    ]
    return ServerClaim(
        access_keys=tuple(dict.fromkeys([*in_query.access_keys, *in_body.access_keys])),
        fields=RequestFields(**{name: words[name] for name in RequestFields._fields if name in words}),
        data=tuple(in_body.data or in_query.data),
        elements=tuple(ahead.elements),
        number=ahead.number,
        problem=problems[0] if problems else "",
    )


class _Found:
    """The fields of a body or a query that matter."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.data: list[Field] = []
        self.access_keys: list[str] = []
        self._left = server_limits.WORDS

    def add_all(self, fields: Iterable[Field]) -> None:
        for field in fields:
            # Names still have their escapes: to take them out of megabytes of names would cost seconds, and no encoder
            # escapes a letter or ``_`` (WHATWG, URL). The rest of an event field's name is read when its sender is
            # known.
            if field.name.startswith("data"):
                self.data.append(field)
            elif field.name in _WORDS and len(field.content) <= 3 * server_limits.KEY:
                self._left -= 1
                if self._left < 0:
                    raise ValueError(f"{field.name}: too often; accepted: once")
                self._add_word(field.name, text_of(field).strip())

    def _add_word(self, name: str, word: str) -> None:
        if word and name in KEY_NAMES:
            self.access_keys.append(word)
        elif word:
            self.words[name] = word


def _fields_parts(body: ServerBody) -> Parts[tuple[Iterable[Field], Ahead]]:
    content = body.content.removeprefix(_BOM)
    kind = body.content_type.partition(";")[0].strip().lower()
    if len(content) > server_limits.BODY:
        raise ValueError(f"body: {len(content)} bytes; accepted: {server_limits.BODY}")
    if kind == "multipart/form-data":
        return multipart_fields(content, body.content_type), NOTHING_AHEAD
    if content[:64].lstrip(_BLANKS)[:1] in (b"{", b"[") or kind.endswith(("/json", "+json")):
        return (yield from _json_parts(content))
    if kind in _OF_FORMS:
        return form_fields(content.strip(_BLANKS)), NOTHING_AHEAD
    raise ValueError(f"content-type: {kind[:60]!r}; accepted: {_ACCEPTED}")


def _json_parts(content: bytes) -> Parts[tuple[Iterable[Field], Ahead]]:
    """Return the members of a JSON body as fields, and the elements of its list of events that were read ahead."""
    events = _EVENTS.search(content, 0, _MOST_BEFORE) if len(content) > _LONG else None
    if events is None or not _is_outermost(content[: events.end()]):
        return _json_fields(_members(content)), NOTHING_AHEAD
    start = events.end()
    ahead = yield from elements_ahead(content, start)
    rest = content[:start] + content[ahead.rest :]
    members = _members(rest, is_rest=ahead.number > 0)
    # If the body has several lists of events, the last one counts, as with any reader of JSON.
    is_last = rest.startswith(memoryview(members.data), start - 1)
    return _json_fields(members if is_last else _members(content)), ahead if is_last else NOTHING_AHEAD


def _is_outermost(begun: bytes) -> bool:
    """Tell whether the list that begins at the end of a body's beginning is a member of the body itself."""
    try:
        return bytes(decoded(_JSON, begun + b"]}").data) == b"[]"
    except (msgspec.DecodeError, RecursionError):
        return False


def _members(content: bytes, *, is_rest: bool = False) -> _JsonBody:
    try:
        return decoded(_JSON, content)
    except msgspec.ValidationError as error:
        raise ValueError("body: not an object; accepted: a JSON object with data") from error
    except RecursionError as error:
        raise ValueError(f"body: nested too deep; accepted: {server_limits.DEPTH} levels of an event") from error
    except msgspec.DecodeError as error:
        why = reason(error, is_rest=is_rest)
        raise ValueError(f"body: not JSON ({why}); accepted: a JSON object with data") from error


def _json_fields(members: _JsonBody) -> Iterator[Field]:
    yield from (Field(name, _word(bytes(getattr(members, name)))) for name in _WORDS)
    data = memoryview(members.data)
    if data and bytes(data[:5]) != b"null":
        yield Field("data", data)


def _word(raw: bytes) -> bytes:
    """Return a text, or a number as text; empty for anything else."""
    try:
        value: Any = msgspec.json.decode(raw) if 0 < len(raw) <= 6 * server_limits.KEY else None
    except msgspec.DecodeError:
        return b""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value).encode(errors="replace") if isinstance(value, str) or is_number else b""
