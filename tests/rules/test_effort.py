"""No body costs much: the searches, proofs and library calls of a request are bounded, whatever its texts."""

import base64
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from dateutil import parser
from hard import BURSTS, HARD
from hypothesis import given, settings
from hypothesis import strategies as st
from leak_samples import secrets
from stdnum import iban
from support import clean_url

from proxy.config.schema import Site
from proxy.edge.collect import tag_answer
from proxy.model.decision import Decision
from proxy.model.record import Record
from proxy.model.request import BrowserRequest, Client
from proxy.rules import written_events
from proxy.rules.browser import ingest
from proxy.rules.effort import MOST, MOST_CANDIDATES, MOST_TEXT, UNITS_PER_PAIR, Effort
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.match import phone_plans, usual_numbers
from proxy.rules.payload import addresses, redact, secret_shapes, shape_patterns
from proxy.rules.payload.names import Allowed, allowed_by
from proxy.rules.payload.redact import CleanData, clean_data
from proxy.rules.payload.secret_shapes import may_hold_shapes, shape_of
from proxy.rules.payload.shape_patterns import Shape, Suspect
from proxy.rules.policy import Policy

NOW = 1_764_000_000_000
BODY = 62_000
LIMITS = allowed_by(frozenset({"utm_source"}), frozenset({"email"}))


class Counts(Counter[str]):
    """How often each expensive part ran, and how many characters the coarse search for suspects went over."""


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Count the expensive calls that texts of a request cause."""
    found = Counts()

    def counted(holder: object, name: str, label: str) -> None:
        original = getattr(holder, name)

        def call(*arguments: Any, **named: Any) -> Any:
            found[label] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(holder, name, call)

    counted(iban, "is_valid", "proofs")
    counted(phone_plans, "is_possible", "proofs")
    counted(secret_shapes, "urlsafe_b64decode", "proofs")
    counted(secret_shapes, "is_noise", "proofs")
    counted(usual_numbers, "number", "numbers")
    counted(parser, "parse", "dates")
    original = shape_patterns.SUSPECTS

    class Coarse:
        def Match(self, text: bytes) -> list[int] | None:  # noqa: N802 - RE2's name
            found["characters"] += len(text)
            found["looks"] += 1
            matches: list[int] | None = original.Match(text)
            return matches

    monkeypatch.setattr(secret_shapes, "SUSPECTS", Coarse())

    def watched(reader: object, name: str) -> None:
        look = getattr(reader, name)

        def look_closely(text: str) -> bool:
            found["characters"] += len(text)
            found["looks"] += 1
            return bool(look(text))

        monkeypatch.setattr(reader, name, look_closely)

    watched(secret_shapes, "has_suspects")
    watched(secret_shapes, "has_suspects_of_ids")
    watched(addresses, "has_suspects")
    watched(redact, "needs_a_look")
    return found


def filled(unit: str, size: int = BODY) -> str:
    """Repeat a text until it nearly has the given size in bytes."""
    return unit * (size // len(unit.encode()))


def body(match: dict[str, Any] | None = None, events: int = 1, **data: Any) -> bytes:
    hits = [
        {"name": "Lead", "id": f"id-{number}", "at": NOW, "pixels": ["1", "2", "3"], "data": data}
        for number in range(events)
    ]
    everybody = {pixel: match or {} for pixel in "123"}
    return orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "match": everybody, "events": hits})


def take(wire: bytes, **settings: Any) -> Decision:
    pixels = [{"id": pixel, "access_token": "t"} for pixel in "123"]
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": pixels, "remember_match": True}
    site = Site.model_validate(usual | settings, context={"resolve": str})
    assert len(wire) <= 64 * 1024
    request = BrowserRequest(
        now=NOW,
        entropy=1,
        client=Client("93.184.216.34", public=True),
        host="t.shop.example",
        origin="https://shop.example",
    )
    outcome = ingest(request._replace(body=wire), Policy(site, VisitorCookieKeys("s" * 32)))
    assert tag_answer(outcome).status in {200, 204}
    return outcome


@pytest.mark.parametrize("unit", HARD.values(), ids=HARD)
def test_one_long_text_is_not_read(counts: Counts, unit: str) -> None:
    """A text that fills the body is only searched coarsely, and is sent only if that finds nothing in it."""
    outcome = take(body(note=filled(unit)))

    assert counts["proofs"] == 0
    assert counts["characters"] < 5 * BODY
    assert outcome.records
    assert max(len(record.payload) for record in outcome.records) < 5000 or not may_hold_shapes(filled(unit))


@pytest.mark.parametrize("unit", HARD.values(), ids=HARD)
def test_many_short_texts_are_read_within_a_budget(counts: Counts, unit: str) -> None:
    """As many texts as fit into a body cause no more proofs than one request may; the rest is not read."""
    text = filled(unit, 60)
    take(body(notes=[f"{number}{text}" for number in range(min(990, BODY // (len(text.encode()) + 6)))]))

    assert counts["proofs"] <= MOST // 40
    assert counts["looks"] <= MOST // 20
    assert counts["characters"] < 5 * BODY


@pytest.mark.parametrize(("events", "pixels"), [(200, "12"), (133, "123"), (20, "12")])
def test_many_pairs_of_event_and_pixel_leave_less_to_read(events: int, pixels: str) -> None:
    """The cost of the pairs themselves is taken from the budget before the first text is read."""
    notes = [[f"{number}{letter}: 1.2345, 181.2345" for letter in "abcd"] for number in range(events)]
    hits = [
        {"name": "Lead", "id": str(number), "at": NOW, "pixels": list(pixels), "data": {"notes": texts}}
        for number, texts in enumerate(notes)
    ]
    outcome = take(orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": hits}))
    records = outcome.records
    read = sum(4 - record.payload.count(b"[redacted]") for record in records if b"notes" in record.payload)

    assert len(records) == events * len(pixels)
    assert (read == 4 * len(records)) == (events == 20)
    assert read // len(pixels) <= (MOST - UNITS_PER_PAIR * len(records)) // 70


@pytest.mark.parametrize("kind", sorted(set(BURSTS) - {"plain"}))
def test_a_burst_of_odd_data_keeps_each_event_and_its_value(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the budget is spent, events are sent with value and currency alone, and the ledger says so; nothing is lost.

    Only a few events of a burst for two pixels are looked through, which is what bounds the time for all.
    """
    looked_at = []

    def counted(data: Mapping[str, Any], allowed: Allowed, effort: Effort) -> CleanData:
        looked_at.append(data)
        return clean_data(data, allowed, effort)

    monkeypatch.setattr(written_events, "clean_data", counted)
    records = take(burst(kind, 200, "12")).records
    custom = [orjson.loads(record.payload)["custom_data"] for record in records]
    unread = [data for data, record in zip(custom, records, strict=True) if _is_unread(record)]

    assert [record.id for record in records] == [str(number) for number in range(200) for _ in "12"]
    assert all("value" in data and len(data["currency"]) == 3 for data in custom)
    assert all(set(data) == {"value", "currency"} for data in unread)
    assert len(unread) == 400 - 2 * len(looked_at)
    assert 0 < len(looked_at) < 80
    assert [len(record.worth) for record in records] == [4 * (not _is_unread(record)) for record in records]


@pytest.mark.parametrize("value", [10**10, 10**12 + 0.5, -(10**14), 10.0**14])
def test_numbers_of_a_burst_are_not_looked_through(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the budget is spent, no number is searched for contact data but a whole one that is as long as a card's."""
    looked_at = []

    def counted(data: Mapping[str, Any], allowed: Allowed, effort: Effort) -> CleanData:
        looked_at.append(data)
        return clean_data(data, allowed, effort)

    monkeypatch.setattr(written_events, "clean_data", counted)
    hits = [
        {"name": "Purchase", "id": str(number), "at": NOW, "pixels": ["1", "2"], "data": odd | {"value": value}}
        for number, odd in enumerate(map(BURSTS["contacts"], range(200)))
    ]
    records = take(orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": hits})).records

    assert len(records) == 400
    assert len(looked_at) < 20


@pytest.mark.parametrize("kind", ["plain", "repairs", "carts as text"])
def test_the_largest_batch_of_the_tag_is_read(kind: str) -> None:
    """What the tag sends at once, 20 kB and 200 bytes for each event, is read whole even if every event is odd."""
    size = len(orjson.dumps(BURSTS[kind](100)))
    records = take(burst(kind, 20_000 // (200 + size), "123")).records

    assert len(records) > 150
    assert not any(map(_is_unread, records))


@pytest.mark.parametrize("value", [378282246310005, 371449635398431])
def test_a_card_number_is_no_value(value: int) -> None:
    """A card's number in the place of the value does not leave, whether the budget is spent or not."""
    odd = [BURSTS["contacts"](number) | {"value": value, "currency": "EUR"} for number in range(200)]
    for data in (odd, [{"value": value, "currency": "EUR"}]):
        hits = [
            {"name": "Purchase", "id": str(number), "at": NOW, "pixels": ["1", "2"], "data": each}
            for number, each in enumerate(data)
        ]
        outcome = take(orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": hits}))

        assert not any(str(value).encode() in record.payload for record in outcome.records)


@pytest.mark.parametrize("kind", ["plain", "contacts"])
def test_a_blocked_value_never_leaves(kind: str) -> None:
    """Where the site blocks ``value``, no event of a burst carries it, whether the budget is spent or not."""
    records = take(burst(kind, 200, "12"), block_keys=["value"]).records

    assert len(records) == 400
    assert not any(b'"value"' in record.payload for record in records)


def burst(kind: str, events: int, pixels: str) -> bytes:
    hits = [
        {"name": "Purchase", "id": str(number), "at": NOW, "pixels": list(pixels), "data": BURSTS[kind](number)}
        for number in range(events)
    ]
    return orjson.dumps({"v": 1, "sent": NOW, "url": "https://shop.example/", "events": hits})


def _is_unread(record: Record) -> bool:
    return "unread:custom_data" in record.facts.redactions and b"[redacted]" not in record.payload


@pytest.mark.parametrize("unit", HARD.values(), ids=HARD)
def test_a_text_has_few_candidates(counts: Counts, unit: str) -> None:
    """In the longest text that is read few candidates are proved; a text with more is taken for a secret."""
    effort = Effort()
    shape = shape_of(filled(unit, MOST_TEXT)[:MOST_TEXT], effort)

    assert counts["proofs"] <= 4 * MOST_CANDIDATES
    assert effort.left >= 0 or shape is Shape.UNREAD


def test_customer_information_asks_libraries_seldom(counts: Counts) -> None:
    """The numbers and dates of a request cause few library calls, though each of three pixels names other people."""
    person_digests = {
        pixel: {
            "ph": [f"{pixel}{number}" for number in range(1_111_111, 1_111_411)],
            "phone": f"+1 212 555 {pixel}111",
            "db": [f"{day}. May 19{pixel}0" for day in range(300)],
        }
        for pixel in "123"
    }
    take(orjson.dumps(orjson.loads(body()) | {"match": person_digests}))

    assert counts["numbers"] <= 60
    assert counts["dates"] <= 80


@pytest.mark.parametrize("text", ["." * 500, "1 " * 250, "12. March 1980" + " " * 60 + "x"])
def test_no_long_text_is_read_as_a_date(counts: Counts, text: str) -> None:
    """A text that is long enough to be slow to read as a date is no date."""
    take(body({"db": text}))

    assert counts["dates"] == 0


def test_whom_a_page_names_to_several_pixels_is_read_once(counts: Counts) -> None:
    """A number that is named to three pixels, remembered and sent is looked up once in the numbering plans."""
    take(body({"ph": "+49 30 1234567", "country": "de"}))

    assert counts["numbers"] == 1


def test_the_budget_is_the_requests() -> None:
    """Effort that one event uses is gone for the next ones; a text that was read once costs nothing again.

    The second part is seen in ``again``: the first event's texts still have their shape when the budget is used up.
    """
    effort = Effort()
    texts = [[f"+49 30 {number}{event}" for number in range(100_000, 100_100)] for event in range(8)]
    first, *_, last = [clean_data({"notes": text}, LIMITS, effort).removed for text in texts]
    again = clean_data({"notes": texts[0]}, LIMITS, effort).removed

    assert set(first) == set(again) == {Shape.PHONE}
    assert set(last) == {Shape.UNREAD}


def test_the_names_of_parameters_are_read_within_the_budget() -> None:
    """Parameters with ever new names use up the budget, then addresses are redacted; known names cost nothing."""
    new = [f"https://a.example/?{'&'.join(f'{number}x{part}' for part in range(95))}" for number in range(100)]
    same = [f"https://a.example/{number}?{'&'.join(f'x{part}' for part in range(95))}" for number in range(100)]
    read, known = clean_data({"links": new}, LIMITS, Effort()), clean_data({"links": same}, LIMITS, Effort())

    assert 0 < read.removed.count(addresses.PARAMETER) <= MOST // 25
    assert (read.data["links"][0], read.data["links"][-1]) == ("https://a.example/", "[redacted]")
    assert known.data["links"] == [f"https://a.example/{number}" for number in range(100)]


def test_what_cannot_be_read_does_not_leave() -> None:
    """With no effort left, addresses and suspicious texts are redacted, while plain words are still sent."""
    spent = Effort(0)

    assert clean_data({"note": "call 0049301234567", "name": "shoes"}, LIMITS, spent).data == {
        "note": "[redacted]",
        "name": "shoes",
    }
    assert clean_url("https://shop.example/u/anna@x.de?utm_source=anna@x", LIMITS, spent).removed == (Shape.UNREAD,) * 2


@pytest.mark.parametrize("front", ["https://shop.example", "https://shop.example/?"])
def test_an_address_of_a_thousand_parts_is_not_looked_through(counts: Counts, front: str) -> None:
    """Parts of an address beyond a hundred segments or parameters are neither read nor sent."""
    part = "&utm_source=" if "?" in front else "/"
    cleaned = clean_url(front + f"{part}a@x" * 500, LIMITS, Effort())

    assert counts["looks"] <= 205
    assert Shape.UNREAD in cleaned.removed
    assert cleaned.url.count("a@x") <= 100


@given(secret=secrets(), before=st.text(max_size=30), after=st.text(max_size=30), is_id=st.booleans())
@settings(deadline=None, derandomize=True, max_examples=600)
def test_the_coarse_look_misses_nothing(secret: tuple[Shape, str], before: str, after: str, *, is_id: bool) -> None:
    """The coarse search names every pattern that can match: trying all patterns finds the same shape."""
    text = f"{before} {secret[1]} {after}"
    found = shape_of(text, Effort(), is_id=is_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret_shapes, "SUSPECTS", _Everything())
        thorough = shape_of(text, Effort(10 * MOST), is_id=is_id)

    assert found == thorough


class _Everything:
    """A coarse search that suspects every shape; encodings and JWTs only where they are, as no pattern judges them."""

    def Match(self, text: bytes) -> list[int]:  # noqa: N802 - RE2's name
        jwt = re.search(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2}", text)
        asks = {Suspect.ENCODED: b"%" in text, Suspect.JWT: jwt is not None}
        return [suspect for suspect in Suspect if asks.get(suspect, True)]


@pytest.mark.parametrize("size", [4097, 70_000])
def test_a_secret_in_base64_is_found_within_bounds(size: int) -> None:
    """Base64 that is too long to be decoded is taken for a secret."""
    assert shape_of(base64.b64encode(b"anna@mail.example " * (size // 18)).decode(), Effort()) is Shape.UNREAD


@given(
    st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=60),
        st.lists(st.sampled_from([*HARD.values(), '"', "\\", "\u017f", "\u212a", "é"]), max_size=5).map("".join),
        st.tuples(st.text(max_size=9), secrets().map(lambda secret: secret[1])).map(" ".join),
    )
)
@settings(deadline=None, max_examples=1500)
def test_two_engines_find_the_same_suspects(text: str) -> None:
    """The quick searches agree with RE2 on whether a text holds a suspect; the one for JSON also stops at escapes."""
    shapes, of_ids = shape_patterns.SUSPECTS.Match(text.encode()), {*shape_patterns.CERTAIN, 0, 10}

    assert shape_patterns.has_suspects(text) is bool(shapes)
    assert shape_patterns.has_suspects_of_ids(text) is bool(of_ids & {*(shapes or ())})
    assert shape_patterns.needs_a_look(text) is (bool(shapes) or "\\" in text or '"http' in text.lower())
