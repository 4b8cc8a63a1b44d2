"""The fast reader, which decodes a body by its types, agrees with the one that reads member by member.

Bodies are written as text, since no JSON writer writes the odd ones: repeated members, numbers in other notations,
escapes, halves of surrogate pairs, blanks, invalid UTF-8.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from proxy.model.request import Visit
from proxy.rules import json_text, limits, wire, wire_members
from proxy.rules.wire_members import Malformed

SENT = 1_764_000_000_000
GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*.hit.json"))

# -- JSON as text

BLANKS = st.sampled_from(["", "", "", " ", "\n\t", "\r\n "])
TEXTS = (
    st.sampled_from([
        '""', '"a"', '"PageView"', '"123"', '"1e5"', '"\\n"', '"\\\\"', '"\\""', '"\\/"', '"\\u0041"', '"\\u00e9"',
        '"\\ud83d"', '"\\ude00"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\x"', '"\x01"', '"\x7f"', '"\u202e"', '"購入"',
        '"\U0001f600"', '"\u2028"', '"data"', '"\\u0064ata"', '"anna@x.de"', '"fb.1.1.2"', '"https://shop.example/é"',
        '"' + "x" * 99 + '"', '"' + "x" * 100 + '"', '"' + "x" * 101 + '"', '"' + "x" * 201 + '"',
        '"https://x/?' + "a" * 2037 + '"', '"https://x/?' + "a" * 2038 + '"',
        '"' + "9" * 20 + '"', '"' + "9" * 21 + '"',
    ])
    | st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False))
    | st.text(max_size=3).map(json.dumps)
)  # fmt: skip
NUMBERS = st.sampled_from([
    "0", "1", "-0", "-1", "0.0", "-0.0", "1.0", "1.5", "1e3", "1E+3", "1e-400", "1e308", "1e309", "-1e999", "01", "+1",
    "1.", ".5", "0x1", "NaN", "Infinity", "-", "1_0", "9007199254740991", "9007199254740992", "9007199254740993",
    "-9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "-9223372036854775809", "1" + "0" * 40, "0.1234567890123456789012345678901234567890", "2.2250738585072011e-308",
    "8640000000000000", "8640000000000001", f"{SENT}", f"{SENT}.0", f"{SENT}.25", "59.7", "123",
]) | st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)  # fmt: skip
SCALARS = st.sampled_from(["null", "true", "false", "True", "undefined", ""]) | TEXTS | NUMBERS


def listed(values: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[str]:
    return st.tuples(st.lists(values, max_size=most), BLANKS).map(lambda drawn: f"[{drawn[1]}{','.join(drawn[0])}]")


def objects(members: st.SearchStrategy[tuple[str, str]], most: int = 4) -> st.SearchStrategy[str]:
    """Draw objects whose members may be repeated."""
    written = st.tuples(members, BLANKS, BLANKS).map(lambda drawn: f"{drawn[1]}{drawn[0][0]}:{drawn[2]}{drawn[0][1]}")
    return st.lists(written, max_size=most).map(lambda drawn: "{" + ",".join(drawn) + "}")


def nested(levels: int, opening: str, closing: str) -> str:
    return opening * levels + "1" + closing * levels


DEEP = st.tuples(
    st.sampled_from([3, 15, 16, 17, 18, 200, 1000, 1021, 1022, 1023, 1024, 1025]),
    st.sampled_from([("[", "]"), ('{"a":', "}")]),
).map(lambda drawn: nested(drawn[0], *drawn[1]))
MANY = st.tuples(
    st.sampled_from([20, 499, 500, 501, 998, 999, 1000, 1001]), st.sampled_from(["1", "[]", '{"a":1}'])
).map(lambda drawn: f"[{','.join([drawn[1]] * drawn[0])}]")
ANY = st.recursive(SCALARS | DEEP | MANY, lambda inner: listed(inner) | objects(st.tuples(TEXTS, inner)), max_leaves=6)


def mostly(usual: st.SearchStrategy[str], odd: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw a usual value nearly always, so that most bodies have one odd value or none."""
    return st.sampled_from([usual] * 24 + [odd] + [usual] * 24).flatmap(lambda drawn: drawn)


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


def record(members: dict[str, st.SearchStrategy[str]], *, optional: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Draw an object as the tag writes it; sometimes reordered, or with a member missing, repeated or unknown."""

    @st.composite
    def draw_record(draw: st.DrawFn) -> str:
        names = [name for name in members if name not in optional or draw(st.booleans())]
        pairs = [(f'"{name}"', draw(mostly(members[name], ODD))) for name in names]
        trick = draw(st.sampled_from([None] * 20 + ["less", "twice", "more", "order", "escape"] + [None] * 20))
        if trick == "less" and pairs:
            del pairs[draw(st.integers(0, len(pairs) - 1))]
        elif trick == "twice":
            name = draw(st.sampled_from(list(members)))
            pairs.insert(draw(st.integers(0, len(pairs))), (f'"{name}"', draw(members[name] | ODD)))
        elif trick == "more":
            pairs.append((draw(TEXTS), draw(ANY)))
        elif trick == "order":
            pairs = draw(st.permutations(pairs))
        elif trick == "escape" and pairs:
            name, value = pairs[0]
            pairs[0] = (f'"\\u{ord(name[1]):04x}{name[2:]}', value)
        blank = draw(BLANKS)
        return "{" + ",".join(f"{blank}{name}{blank}:{value}{blank}" for name, value in pairs) + "}"

    return draw_record()


ODD = TEXTS | NUMBERS | ANY
LABELS = one_of('"PageView"', '"Purchase"', '"Add to cart"', '"購入"', '"a \\"b\\""', '"' + "x" * 100 + '"')
IDS = one_of('"id-1"', '"id-2"', '"' + "x" * 200 + '"')
TIMES = one_of(f"{SENT}", f"{SENT - 1000}", "1", "8640000000000000")
PIXELS = one_of('["123"]', '["123","456"]', '["123","123"]', '["0123"]', f'["{"9" * 20}"]')
COPIES = one_of('"fired"', '"blocked"', '"pending"')
PLAIN = one_of(
    *(
        "null",
        "true",
        "59.7",
        "1e3",
        "1E+3",
        "0",
        "-0",
        "-0.0",
        "1e-400",
        "8.98846567431158e307",
        '"EUR"',
        '""',
        '"\\n"',
    )
)
PRODUCT = objects(st.tuples(one_of('"id"', '"quantity"', '"id"'), mostly(PLAIN, ODD)), most=3)
DATA = one_of("{}", '{"value":59.7,"currency":"EUR","content_ids":["a","b"]}') | objects(
    st.tuples(one_of('"value"', '"contents"'), mostly(PLAIN | listed(PLAIN | PRODUCT) | PRODUCT, ODD))
)
EVENT = record(
    {"name": LABELS, "id": IDS, "at": TIMES, "pixels": PIXELS, "data": DATA, "pixel": COPIES}, optional=("pixel",)
)
FATE = record({"name": LABELS, "id": IDS, "pixel": COPIES})
KEYS = objects(st.tuples(one_of('"em"', '"ph"', '"zp"'), mostly(PLAIN | listed(PLAIN), ODD)))
MATCH = one_of("{}", "false", "true", '{"123":{}}', '{"123":{"em":"a@b.de","zp":10115}}') | objects(
    st.tuples(one_of('"123"', '"456"', '"anna"', '""'), KEYS)
)
MANY_EVENTS = st.tuples(EVENT, st.sampled_from([199, 200, 201, 401])).map(
    lambda drawn: f"[{','.join([drawn[0]] * drawn[1])}]"
)
WIRE = record(
    {
        "v": one_of("1"),
        "sent": TIMES,
        "url": one_of('"https://www.shop.example/p?utm_source=meta"', '"https://x/?' + "a" * 2037 + '"', '""'),
        "referrer": one_of('"https://www.shop.example/"', '""'),
        "fbp": one_of('"fb.1.1763000000000.1234567890"', '"' + "é" * 2048 + '"'),
        "fbc": one_of('"fb.1.1763000000000.abc"'),
        "consent": one_of('"granted"', '"unknown"', '"revoked"'),
        "dpo": one_of('[["LDU"],0,0]', "[[],0,0]", '[["LDU"],1,1000]', '[["LDU","LDU"],0,99999]', "null"),
        "webdriver": one_of("true", "false"),
        "gpc": one_of("true", "false"),
        "match": MATCH,
        "events": mostly(
            st.lists(EVENT, min_size=1, max_size=3).map(lambda drawn: f"[{','.join(drawn)}]"), MANY_EVENTS | listed(ODD)
        ),
        "fates": listed(FATE),
    },
    optional=("fbc", "dpo", "webdriver", "gpc", "match", "fates", "consent"),
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Draw a body, sometimes with a byte missing, added or replaced."""
    body = draw(WIRE).encode(errors="surrogatepass")
    is_spoiled, place = draw(st.integers(0, 19)) == 13, draw(st.integers(0, len(body)))
    odd = draw(
        st.sampled_from([b"", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b'"', b"}", b",", b"\\", b"\xef\xbb\xbf"])
    )
    return body[:place] + odd + body[place + draw(st.integers(0, 1)) :] if is_spoiled else body


def outcome(read: Any, body: bytes) -> str:
    """Return everything that is read, with its types, or the error."""
    try:
        return repr(read(body))
    except Malformed as error:
        return f"malformed: {error}"


def member_by_member(body: bytes) -> Visit:
    """Read a body without decoding any part of it by its types."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire_members, "MOST_ODD", 0)
        return wire_members.visit(body)


@given(spoiled())
@settings(max_examples=400, deadline=None)
def test_a_body_is_read_alike_in_all_forms(body: bytes) -> None:
    """Values, types, order, refusals and errors are the same from both readers."""
    expected = outcome(member_by_member, body)

    assert outcome(wire.visit, body) == expected
    assert outcome(wire_members.visit, body) == expected


# Odd members that decoding by types alone would accept.
NEARLY_USUAL = {
    "custom-data-twice": b'"data":1e999,"data":{}',
    "custom-data-twice-by-an-escape": b'"d\\u0061ta":1e999,"data":{}',
    "custom-data-twice-not-utf-8": b'"data":"\xff","data":{}',
    "custom-data-a-list": b'"data":[]',
    "custom-data-a-text": b'"data":""',
    "infinite-number": b'"data":{"value":1e999}',
    "whole-number-of-65-bits": b'"data":{"value":18446744073709551616}',
    "half-a-character": b'"data":{"title":"\\ud83d"}',
    "not-utf-8": b'"data":{"title":"\xff"}',
    "deep": b'"data":' + b'{"a":' * 17 + b"1" + b"}" * 17,
    "deepest": b'"data":' + b'{"a":' * 16 + b"1" + b"}" * 16,
    "more-levels-than-any-reader-takes": b'"data":' + b'{"a":' * 1022 + b"1" + b"}" * 1022,
    "many-members": b'"data":{"a":[' + b",".join([b"1"] * 1000) + b"]}",
    "most-members": b'"data":{"a":[' + b",".join([b"1"] * 999) + b"]}",
    "commas-in-texts": b'"data":{"a":"' + b"," * 2000 + b'"}',
    "unknown-member": b'"data":{},"more":1e999',
}


@pytest.mark.parametrize("members", NEARLY_USUAL.values(), ids=NEARLY_USUAL)
def test_what_types_alone_let_through_is_read_alike(members: bytes) -> None:
    """Odd members that once made the two readers differ, or nearly so, are read alike."""
    event = b'{"name":"A","id":"1","at":%d,"pixels":["123"],%b}' % (SENT, members)
    body = b'{"v":1,"sent":%d,"events":[%b]}' % (SENT, event)

    assert outcome(wire.visit, body) == outcome(wire_members.visit, body) == outcome(member_by_member, body)


def by_types_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(body: bytes) -> None:
        pytest.fail(f"was read member by member: {body!r}")

    monkeypatch.setattr(wire_members, "visit", read)


@pytest.mark.parametrize("path", GOLDEN, ids=[path.name for path in GOLDEN])
def test_bodies_as_the_tag_writes_them_are_read_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those golden requests that have an event to refuse are read member by member."""
    body = orjson.dumps(json.loads(path.read_text(encoding="utf-8"))["body"])
    expected = wire_members.visit(body)
    if not expected.refused:
        by_types_alone(monkeypatch)

    assert repr(wire.visit(body)) == repr(expected)


def kinds_of(kind: Any) -> Iterator[type]:
    """Yield the types that msgspec finds within a type."""
    yield type(kind)
    for name in type(kind).__struct_fields__:
        part = getattr(kind, name)
        for member in part if isinstance(part, tuple) else (part,):
            if isinstance(member, inspect.Type | inspect.Field):
                yield from kinds_of(member)


def test_numbers_near_the_ends_of_a_double_are_left_to_orjson() -> None:
    """The types of the fast reader have no float, since msgspec takes 20 us for each number near a double's limits."""
    kinds = set(kinds_of(inspect.type_info(wire._Wire)))

    assert kinds & {inspect.FloatType, inspect.AnyType, inspect.DecimalType} == set()
    assert {inspect.RawType, inspect.IntType} <= kinds


def test_a_batch_with_long_carts_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Usual is a batch of twenty events with a cart of twenty products, and titles in other scripts or with quotes."""
    cart = {"contents": [{"id": f"sku-{number}", "quantity": 1} for number in range(20)], "title": 'Ä "購入"'}
    event = {"name": "AddToCart", "id": "1", "at": SENT, "pixels": ["123"], "data": {"value": 1.5}}
    body = orjson.dumps({"v": 1, "sent": SENT, "match": {"123": {}}, "events": [*[event] * 19, event | {"data": cart}]})
    assert len(body) < limits.BODY
    by_types_alone(monkeypatch)

    assert len(wire.visit(body).hits) == 20


# JSON's escapes, read one by one from the left as in its grammar (RFC 8259, 7).
_HEX = rb"[0-9a-fA-F]"
IN_TURN = re.compile(
    rb"\\(?:u[dD][89abAB]%b{2}\\u[dD][c-fC-F]%b{2}|(u[dD][89a-fA-F]%b{2})|.)" % (_HEX, _HEX, _HEX), re.DOTALL
)
ESCAPES = st.lists(
    st.sampled_from([
        *(b"\\ud83d", b"\\uDE00", b"\\uD83d\\ude00", b"\\\\", b"\\n", b'\\"', b"\\u0041", b"\\/", b"ud83d", b"ude00"),
        *(b"a", b"\\udfff", b"\\ud800", b"\\udBFF", b"\\udc00", b"\\ue000", "購".encode()),
    ]),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(ESCAPES)
@settings(max_examples=500)
def test_halves_of_characters_are_found_as_if_each_escape_was_read_in_its_turn(written: bytes) -> None:
    """Half a surrogate pair is found whatever surrounds it, escaped backslashes included."""
    in_turn = IN_TURN.sub(lambda match: b"\\ufffd" if match[1] else match[0], written)
    body = b'{"v":1,"sent":1,"events":[{"name":"A","id":"1","at":1,"pixels":["1"],"data":{"a":"%b"}}]}'

    assert outcome(wire.visit, body % written) == outcome(wire.visit, body % in_turn)
    assert "Hit(" in outcome(wire.visit, body % written)


def test_escapes_beside_half_a_character_cost_no_call_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only halves are replaced by a call each; a body of escaped line ends and half an emoji once took 9 ms."""
    found: list[int] = []

    class Counted:
        def sub(self, replacement: bytes, text: bytes) -> bytes:
            changed, count = halves.subn(replacement, text)
            found.append(count)
            return changed

    halves = json_text._HALF
    monkeypatch.setattr(json_text, "_HALF", Counted())
    title = b"\\n" * 30_000 + b"\\ud83d"
    (hit,) = wire.visit(
        b'{"v":1,"sent":1,"events":[{"name":"A","id":"1","at":1,"pixels":["1"],"data":{"a":"%b"}}]}' % title
    ).hits

    assert (found, hit.data) == ([1], {"a": "\n" * 30_000 + "\ufffd"})
