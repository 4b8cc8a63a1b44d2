"""Long lists of events are read piece by piece, with the same result as reading them whole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_requests import FORM, JSON, event, form, read

from proxy.model.server_request import ServerBody, ServerRequest
from proxy.rules import server_limits
from proxy.rules.server_wire import claim, elements, lists
from proxy.rules.server_wire.claim import claim_of, claim_parts
from proxy.rules.server_wire.reading import MalformedRequestError, elements_of

EVENTS = [event(event_id=f"e-{number}", custom_data={"contents": [{"id": "a"}] * 20}) for number in range(1000)]
BODIES = {
    "objects in JSON": (orjson.dumps({"upload_tag": "t", "data": EVENTS, "partner_agent": "p"}), JSON),
    "with blanks": (json.dumps({"data": EVENTS}, indent=1).encode(), JSON),
    "texts in JSON": (orjson.dumps({"data": [json.dumps(each) for each in EVENTS], "access_token": "k"}), JSON),
    "objects in a form": (form(data=json.dumps(EVENTS)), FORM),
    "texts in a form": (form(data=json.dumps([json.dumps(each) for each in EVENTS])), FORM),
}
"""A thousand events in the shapes that SDKs send."""


class Decoded:
    """A decoder that notes how many bytes each call decodes."""

    def __init__(self, decoder: Any, sizes: list[int]) -> None:
        self._decoder, self._sizes = decoder, sizes

    def decode(self, content: bytes) -> Any:
        self._sizes.append(len(content))
        return self._decoder.decode(content)


@pytest.fixture(name="sizes")
def _sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the bytes of everything that is decoded in one call, before single events are."""
    sizes: list[int] = []
    for module, name in ((claim, "_JSON"), (lists, "LIST"), (elements, "LIST")):
        monkeypatch.setattr(module, name, Decoded(getattr(module, name), sizes))
    return sizes


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_megabytes_is_read_once_in_pieces(name: str, sizes: list[int]) -> None:
    """Only the last piece may be decoded twice, and no call decodes more than a piece and an event."""
    content, content_type = BODIES[name]
    request = read(content, content_type)
    plain = len(json.dumps([json.dumps(each) for each in EVENTS]))

    assert [hit.id for hit in request.hits] == [f"e-{number}" for number in range(1000)]
    assert max(sizes) < 140_000
    assert sum(sizes) < max(plain, len(content)) + 140_000


@pytest.mark.parametrize("name", BODIES)
def test_words_around_a_long_list_count(name: str) -> None:
    """Keys and fields before and behind the events are found as in a short body."""
    content, content_type = BODIES[name]
    found = claim_of(ServerBody(content, content_type))

    expected = {"objects in JSON": ((), "t", "p"), "texts in JSON": (("k",), "", "")}
    assert (found.access_keys, found.fields.upload_tag, found.fields.partner_agent) == expected.get(name, ((), "", ""))


def test_more_events_than_allowed_are_counted_and_not_kept(sizes: list[int]) -> None:
    """A list that is ten times too long is refused with its number of events, and is read only once."""
    content = orjson.dumps({"data": EVENTS * 10})
    found = claim_of(ServerBody(content, JSON))
    with pytest.raises(MalformedRequestError, match="data: 10000 events; accepted: 1 to 1000"):
        list(elements_of(found))

    assert len(found.elements) < server_limits.EVENTS + 600
    assert sum(sizes) < len(content) + 200_000


def test_a_long_body_is_read_in_parts() -> None:
    """Other requests can be served between the parts, already before the sender is known."""
    content = orjson.dumps({"data": EVENTS})

    assert len(list(claim_parts(ServerBody(content, JSON)))) >= len(content) // 140_000


@contextmanager
def in_tiny_pieces() -> Iterator[None]:
    """Make pieces end after 8 bytes, and read every body in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_PIECE", 8)
        patch.setattr(claim, "_LONG", 0)
        yield


def result(content: bytes, content_type: str) -> ServerRequest | str | tuple[str, ...]:
    """Return what is read of a body or the reason for refusing it, without the position of an error in JSON."""
    try:
        return read(content, content_type)
    except MalformedRequestError as error:
        return str(error).partition(" (")[0]


ODD: st.SearchStrategy[Any] = st.sampled_from([
    {"a": 1}, {"a": "}, {"}, {"a": '},{"a":'}, {"a": [{"a": 1}, {"a": 2}]}, {"a": {"data": [{"a": 1}, {"a": 2}]}},
    '{"a": 1}', '{"a": "\\"}, {\\"a\\":"}', "x", 7, None, [], {}, {"b": 1}, "", {"a": "\ud83d"}, "data",
])  # fmt: skip
LISTS = st.lists(ODD, max_size=12)


@given(LISTS, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " :")]), st.booleans())
@settings(max_examples=400)
def test_pieces_come_to_the_same(listed: list[Any], separators: tuple[str, str], in_form: bool) -> None:  # noqa: FBT001
    """Reading in pieces gives the same events and refusals, whatever is in the list, its own beginning included."""
    text = json.dumps(listed, separators=separators)
    content = form(data=text) if in_form else b'{"x": 1, "data": %b, "upload_tag": "t"}' % text.encode()
    content_type = FORM if in_form else JSON
    whole = result(content, content_type)
    with in_tiny_pieces():
        assert result(content, content_type) == whole


@given(st.lists(st.sampled_from([
    b'{"a":1}', b",", b'"data":[', b'"data":', b"{", b"}", b"[", b"]", b'"', b'{"a":', b"1", b'"upload_tag":"t"', b" ",
    b'"x":', b"\\", b'{"a":1},{"a":1},{"a":2},{"a":3}',
]), max_size=14))  # fmt: skip
@example([b'"x":{"data":[', b'{"a":1},{"a":1},{"a":2},{"a":3}', b']},"data":[', b'{"a":1}', b"]"])
@example([b'"data":[', b'{"a":1},{"a":1},{"a":2},{"a":3}', b'],"data":[', b'{"a":1}', b"]"])
@example([b'"x":"\\"data\\":[', b'{"a":1},{"a":1},{"a":2},{"a":3}', b'","data":[', b'{"a":1}', b"]"])
@settings(max_examples=1500)
def test_pieces_of_broken_bodies_come_to_the_same(parts: list[bytes]) -> None:
    """Lists in other members, repeated lists and invalid JSON give the same result in pieces as in one call."""
    content = b"{" + b"".join(parts) + b"}"
    whole = result(content, JSON)
    with in_tiny_pieces():
        assert result(content, JSON) == whole
