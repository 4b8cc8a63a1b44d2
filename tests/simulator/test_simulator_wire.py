"""The simulator's reading of requests in each encoding."""

from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from proxy.simulator.graph import wire

ONE, TWO = {"event_name": "A", "note": "ä & ="}, {"event_name": "B"}
BOTH = [ONE, TWO]
FORM = "application/x-www-form-urlencoded"
JSON = "application/json; charset=utf-8"
MULTIPART = 'multipart/form-data; boundary="xyz"'


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _multipart(*fields: tuple[str, str]) -> bytes:
    parts = [f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return ("".join(parts) + "--xyz--\r\n").encode()


def _form(*fields: tuple[str, str]) -> bytes:
    return urlencode(fields).encode()


LABELLED = (
    b"".join(
        b'--xyz\r\nContent-Disposition: form-data; name="%s"\r\nContent-Type: multipart/form-data\r\n'
        b"Content-Length: %d\r\n\r\n%s\r\n" % (name, len(value), value)
        for name, value in ((b"data", orjson.dumps(BOTH)), (b"access_token", b"token"))
    )
    + b"--xyz--\r\n"
)
ENCODINGS = [
    ("JSON", JSON, orjson.dumps({"data": BOTH})),
    ("JSON, data as text", JSON, orjson.dumps({"data": _text(BOTH)})),
    ("JSON, data as texts", JSON, orjson.dumps({"data": [_text(ONE), _text(TWO)]})),
    ("form, one array as text", FORM, _form(("data", _text(BOTH)))),
    ("form, one list of texts, as the Python SDK sends", FORM, _form(("data", _text([_text(ONE), _text(TWO)])))),
    ("form, repeated texts", FORM, _form(("data", _text(ONE)), ("data", _text(TWO)))),
    ("form, PHP brackets", FORM, _form(("data[]", _text(ONE)), ("data[]", _text(TWO)))),
    ("form, PHP indices", FORM, _form(("data[0]", _text(ONE)), ("data[1]", _text(TWO)))),
    ("multipart, one array as text, as curl -F sends", MULTIPART, _multipart(("data", _text(BOTH)))),
    ("an object with numeric keys", JSON, orjson.dumps({"data": {"1": TWO, "0": ONE}})),
    (
        "form, nested as PHP does",
        FORM,
        _form(("data[0][event_name]", "A"), ("data[0][note]", "ä & ="), ("data[1][event_name]", "B")),
    ),
    (
        "multipart, nested as PHP does",
        MULTIPART,
        _multipart(("data[0][event_name]", "A"), ("data[0][note]", "ä & ="), ("data[1][event_name]", "B")),
    ),
    ("JSON under a form's type, as Meta's Gateway sample", FORM, b" \n" + orjson.dumps({"data": BOTH})),
    ("JSON as plain text", "text/plain;charset=UTF-8", orjson.dumps({"data": BOTH})),
    ("JSON of no type", "", orjson.dumps({"data": BOTH})),
    ("multipart, parts labelled as PHP's asynchronous class does", MULTIPART, LABELLED),
    ("multipart, repeated texts", MULTIPART, _multipart(("data", _text(ONE)), ("data", _text(TWO)))),
]

UNREADABLE = [
    ("no data", JSON, b"{}"),
    ("data null", JSON, b'{"data": null}'),
    ("data an object", JSON, b'{"data": {}}'),
    ("data a number", JSON, b'{"data": 1}'),
    ("data not JSON", FORM, b"data=[{"),
    ("an event not JSON", JSON, b'{"data": ["{"]}'),
    ("body not JSON", JSON, b"{"),
    ("body a list", JSON, b"[]"),
    ("body empty", JSON, b""),
    ("body deeper than any parser", JSON, b"[" * 100_000),
    ("multipart without boundary", "multipart/form-data", b"x"),
    ("multipart of another boundary", MULTIPART, b'--abc\r\nContent-Disposition: form-data; name="data"\r\n\r\n[]\r\n'),
    ("a type that carries no parameters", "text/plain", b"data=[]"),
    ("JSON cut short under a form's type", FORM, b'{"data": ['),
    ("data an object in a form", FORM, b"data="),
    ("nested without end", FORM, b"data" + b"[x]" * 33 + b"=1"),
    ("no type", "", b"data=[]"),
]


@pytest.mark.parametrize(("mime", "body"), [pytest.param(*row[1:], id=row[0]) for row in ENCODINGS])
def test_every_encoding_carries_the_same_events(mime: str, body: bytes) -> None:
    """All encodings that clients use decode to the same two events."""
    assert wire.events(wire.parameters("", mime, body)) == BOTH


@pytest.mark.parametrize(("mime", "body"), [pytest.param(*row[1:], id=row[0]) for row in UNREADABLE])
def test_what_cannot_be_read_is_named(mime: str, body: bytes) -> None:
    """A body without readable events raises ``UnreadableError``, whose text names the problem."""
    with pytest.raises(wire.UnreadableError, match=r"data|body"):
        wire.events(wire.parameters("", mime, body))


@pytest.mark.parametrize("mime", [JSON, FORM])
def test_one_event_may_stand_alone(mime: str) -> None:
    """A single object in place of the list is read as its only event."""
    assert wire.events(wire.parameters("", mime, orjson.dumps({"data": ONE}))) == [ONE]


NESTED = [
    ("lists", [("[a][]", "1"), ("[a][]", "2")], {"a": ["1", "2"]}),
    ("lists by index", [("[a][1]", "2"), ("[a][0]", "1")], {"a": {"1": "2", "0": "1"}}),
    ("holes stay where they are", [("[a][0]", "x"), ("[a][4]", "y")], {"a": {"0": "x", "4": "y"}}),
    ("objects in lists", [("[c][0][id]", "1"), ("[c][1][id]", "2")], {"c": [{"id": "1"}, {"id": "2"}]}),
    ("the later of two", [("[a]", "1"), ("[a][b]", "2"), ("[c][d]", "3"), ("[c]", "4")], {"a": {"b": "2"}, "c": "4"}),
]


@pytest.mark.parametrize(("fields", "expected"), [pytest.param(*row[1:], id=row[0]) for row in NESTED])
def test_brackets_nest(fields: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    """Form fields with brackets become the objects and lists for which PHP writes them."""
    body = _form(*((f"data[0]{name}", value) for name, value in fields))

    assert wire.events(wire.parameters("", FORM, body)) == [expected]


def test_fields_of_other_names_are_no_events() -> None:
    """Only ``data`` has events, whatever brackets other names have."""
    assert wire.events([("data", "[]"), ("database[0]", "{}"), ("x[data]", "{}"), ("data[", "{}")]) == []


@pytest.mark.parametrize(
    ("query", "body", "authorization", "token"),
    [
        ("access_token=q", b'{"access_token": "b"}', "Bearer h", "q"),
        ("", b'{"access_token": "b"}', "Bearer h", "b"),
        ("", b"{}", "Bearer h", "h"),
        ("", b"{}", "bearer  h ", "h"),
        ("access_token=", b"{}", "", None),
        ("", b'{"access_token": 7}', "", None),
        ("", b"{}", "Basic h", None),
        ("", b"{}", "Bearer ", None),
        ("", b"{}", "", None),
    ],
)
def test_places_of_the_token(query: str, body: bytes, authorization: str, token: str | None) -> None:
    """The token is taken from the address, else the body, else the Authorization header."""
    assert token == wire.token(wire.parameters(query, JSON, body), authorization)


def test_addresses_with_raw_bytes_become_plain_text() -> None:
    """Lone surrogates and broken escapes, which JSON cannot carry, are replaced."""
    assert wire.urlencoded("ev=\udcff%ff&empty=") == [("ev", "��"), ("empty", "")]
