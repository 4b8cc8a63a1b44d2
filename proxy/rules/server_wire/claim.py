"""Body of a server's request → what it claims: access keys, request fields, and its events, still unread.

This is the first look, before anybody knows whether the sender may speak at all: it costs little, whatever the body.
What Meta's clients send is in JSON, forms and multipart bodies, and JSON under the type of a form, a text or none: the
sample that Meta gives for its Gateway is of that kind.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from proxy.model.server_request import NO_FIELDS, RequestFields, ServerBody
from proxy.rules import server_limits
from proxy.rules.json_text import decoded
from proxy.rules.server_wire.fields import Field, form_fields, text_of
from proxy.rules.server_wire.multipart import multipart_fields

KEY_NAMES = ("access_token", "accessKey")
"""Where Graph and the Gateway take their keys."""
_BLANKS, _BOM = b" \t\r\n", b"\xef\xbb\xbf"
_OF_FORMS = frozenset({"", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"})
_ACCEPTED = "application/json, application/x-www-form-urlencoded or multipart/form-data"


class ServerClaim(NamedTuple):
    """What a server's request says before its events are read."""

    access_keys: tuple[str, ...] = ()
    """The different keys that query and body hold, that of the query first; the header is the door's."""
    fields: RequestFields = NO_FIELDS
    data: tuple[Field, ...] = ()
    """Where the events stand; for ``reading`` alone."""
    problem: str = ""
    """Why the body cannot be read: the member, and what is accepted. Keys that were found all the same count."""


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


def claim_of(body: ServerBody) -> ServerClaim:
    """Return what a request claims; no body raises."""
    problems: list[str] = []
    in_query, in_body = _Found(), _Found()
    try:
        in_query.add_all(form_fields(body.query.encode(errors="replace")))
        in_body.add_all(_fields(body))
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
        problem=problems[0] if problems else "",
    )


class _Found:
    """What of a body or a query counts."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.data: list[Field] = []
        self.access_keys: list[str] = []
        self._left = server_limits.WORDS

    def add_all(self, fields: Iterable[Field]) -> None:
        for field in fields:
            # Names still have their escapes: to take them out of megabytes of names would cost seconds, and no encoder
            # escapes a letter or ``_`` (WHATWG, URL). How an event's field goes on is read when its sender is known.
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


def _fields(body: ServerBody) -> Iterable[Field]:
    content = body.content.removeprefix(_BOM)
    kind = body.content_type.partition(";")[0].strip().lower()
    if len(content) > server_limits.BODY:
        raise ValueError(f"body: {len(content)} bytes; accepted: {server_limits.BODY}")
    if kind == "multipart/form-data":
        return multipart_fields(content, body.content_type)
    if content[:64].lstrip(_BLANKS)[:1] in (b"{", b"[") or kind.endswith(("/json", "+json")):
        return _json_fields(content)
    if kind in _OF_FORMS:
        return form_fields(content.strip(_BLANKS))
    raise ValueError(f"content-type: {kind[:60]!r}; accepted: {_ACCEPTED}")


def _json_fields(content: bytes) -> Iterable[Field]:
    try:
        members = decoded(_JSON, content)
    except msgspec.ValidationError as error:
        raise ValueError("body: not an object; accepted: a JSON object with data") from error
    except RecursionError as error:
        raise ValueError(f"body: nested too deep; accepted: {server_limits.DEPTH} levels of an event") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"body: not JSON ({str(error)[:80]}); accepted: a JSON object with data") from error
    yield from (Field(name, _word(bytes(getattr(members, name)))) for name in _WORDS)
    data = memoryview(members.data)
    if data and bytes(data[:5]) != b"null":
        yield Field("data", data)


def _word(raw: bytes) -> bytes:
    """Return a text, or a number as text; what is something else, or null, says nothing."""
    try:
        value: Any = msgspec.json.decode(raw) if 0 < len(raw) <= 6 * server_limits.KEY else None
    except msgspec.DecodeError:
        return b""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value).encode(errors="replace") if isinstance(value, str) or is_number else b""
