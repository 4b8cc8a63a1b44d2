"""The events of one request share one budget: an event that exceeds it or cannot be read costs no other event."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import pytest
from cases import NOW, case_of, hit, site, taken

import proxy
from proxy.graph import payload
from proxy.model.event import DropReason
from proxy.model.record import Record
from proxy.model.request import RefusedEvent
from proxy.rules import event_steps, limits, tables
from proxy.rules.browser import decision, events_in_parts
from proxy.rules.case import Case
from proxy.rules.faults import fault

PIXELS = tuple(str(number) for number in range(50))
MANY = site(pixel=[{"id": pixel, "access_token": "t"} for pixel in PIXELS])


def large(identity: str, size: int, *, pixels: tuple[str, ...] = ("123",)) -> Any:
    return hit(name="Own", id=identity, data={"text": "x " * (size // 2)}, pixels=pixels, place=int(identity))


def bytes_of(found: Case) -> int:
    shared = {record.pixel: len(record.shared) for record in found.records}
    return sum(len(record.payload) for record in found.records) + sum(shared.values())


def test_an_event_beyond_the_bytes_of_a_request_is_refused_and_smaller_ones_behind_it_are_stored() -> None:
    """The refusal has place, id and reason; what is stored stays within the budget."""
    found = taken(case_of(large("0", 200_000), large("1", 100_000), large("2", 50_000)))

    why = "size: too large, with the events before; accepted: 262144 bytes of records for a body"
    assert [record.id for record in found.records] == ["0", "2"]
    assert found.refused == [RefusedEvent(1, "1", why)]
    assert 250_000 < bytes_of(found) <= limits.RECORDS


def test_a_refusal_names_the_id_that_the_page_gave() -> None:
    """The page knows its event by no other id, even one that may not be stored in the ledger."""
    many = [hit(id=f"anna-{number}@x.de", name="購" * 100, pixels=PIXELS, place=number) for number in range(25)]
    found = taken(case_of(*many, site=MANY))

    assert found.refused
    assert {event.id for event in found.refused} <= {claimed.id for claimed in many}
    assert {row.id for row in found.dropped} == {"[redacted]"}


def test_an_event_is_stored_for_all_its_pixels_or_for_none() -> None:
    """An event that is too large for all its pixels together is refused as a whole, and leaves no drops."""
    found = taken(case_of(large("0", 6000, pixels=(*PIXELS, "foreign")), large("1", 6000, pixels=("7",)), site=MANY))

    assert ([record.id for record in found.records], [refusal.index for refusal in found.refused]) == (["1"], [0])
    assert (found.dropped, found.unknown_pixels) == ([], 0)


def test_what_the_events_of_one_pixel_share_counts_once() -> None:
    """200 events of a visitor with long addresses and many hashed keys fit, and have one shared part."""
    keys = {"em": [f"{number}@x.de" for number in range(4)], "external_id": list("abcd"), "fn": ["anna"]}
    address = "https://shop.example/" + "a" * 2000
    visit = case_of(*(hit(id=str(number)) for number in range(200)), match={"123": keys}, url=address, referrer=address)
    found = taken(visit)

    assert (len(found.records), found.refused) == (200, [])
    assert len({id(record.shared) for record in found.records}) == 1
    assert len(found.records[0].shared) > 4500


def test_ledger_rows_count_too() -> None:
    """Drops with the longest names and ids for 50 pixels stay within the same budget."""
    long = [hit(name="購" * 100, id="入" * 200, pixels=PIXELS, place=number) for number in range(8)]
    found = taken(case_of(*long, site=MANY, forbidden=DropReason.GPC))

    assert [refusal.index for refusal in found.refused] == [5, 6, 7]
    assert len(found.dropped) == 250


def test_pixels_of_other_people_leave_one_row_for_a_request() -> None:
    """One row, of the first pixel, states how many pairs there were; the metrics get the number."""
    hits = [hit(id=str(number), pixels=PIXELS) for number in range(8)]
    found = taken(case_of(*hits, hit(id="ours")))
    (row,) = decision(found).dropped

    assert (row.pixel, row.id, row.reason, row.findings) == ("0", "0", DropReason.UNKNOWN_PIXEL, ("events:400",))
    assert (found.unknown_pixels, [record.id for record in found.records]) == (400, ["ours"])


def test_one_pixel_of_other_people_has_a_plain_row() -> None:
    """The row of a single unknown pixel states no number."""
    (row,) = decision(taken(case_of(hit(pixels=("9", "123"))))).dropped

    assert (row.pixel, row.findings) == ("9", ())


@pytest.mark.parametrize(
    ("room", "name", "place"),
    [(event_steps, "check_custom_data", "event_steps._checked"), (payload, "parts", "written_events._records")],
    ids=["custom data", "record"],
)
def test_an_error_nobody_foresaw_costs_its_event_alone(
    room: Any, name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is refused by name, its neighbours are stored, and the fault has type and place but no content."""
    right = getattr(room, name)

    def wrong(*arguments: Any, **more: Any) -> Any:
        if arguments[0] == "1":
            raise TypeError("anna@x.de")
        return right(*arguments, **more)

    monkeypatch.setattr(room, name, wrong)
    found = taken(case_of(*(hit(name=str(number), id=str(number), place=number) for number in range(3))))

    assert [record.id for record in found.records] == ["0", "2"]
    assert found.refused == [RefusedEvent(1, "1", "cannot be read")]
    (named,) = found.faults
    assert named.startswith(f"TypeError in proxy.rules.{place}, line ")
    assert "anna" not in named


def test_a_fault_names_the_innermost_place_of_ours() -> None:
    """A fault names type, function and line of our innermost frame; the message may quote a value and is left out."""
    with pytest.raises(AttributeError) as caught:
        payload.record(None)  # type: ignore[arg-type]

    assert fault(caught.value).startswith("AttributeError in proxy.graph.payload.record, line ")
    assert fault(ValueError("anna@x.de")) == "ValueError"


def test_numbers_of_any_size_are_written() -> None:
    """Whatever number JSON may hold in custom data, the record can be written."""
    data = {"own": [2**64 - 1, -(2**63), 1.7e308, -0.0], "num_items": 1e20, "contents": [{"id": 1, "quantity": 1e300}]}
    (record,) = taken(case_of(hit(data=data, at=NOW))).records

    sent = orjson.loads(record.whole)["custom_data"]
    assert sent == {"own": [2**64 - 1, -(2**63), 1.7e308, -0.0], "contents": [{"id": 1}]}


def test_a_large_request_is_worked_on_in_parts() -> None:
    """Each part ends with the event that reaches the allowed number of pairs; a usual request has one part."""
    pairs = limits.ROWS // limits.EVENTS
    hits = [hit(id=str(number), pixels=PIXELS[:pairs]) for number in range(limits.EVENTS)]
    pauses = sum(1 for _ in events_in_parts(case_of(*hits, site=MANY)))

    assert limits.ROWS / (pauses + 1) <= limits.PART + pairs
    assert list(events_in_parts(case_of(*hits[: limits.PART // pairs]))) == []


def calls_of_ours(work: Callable[[], object]) -> int:
    """Return how many of our functions and of named tuples' constructors (file ``<string>``) are called by a work."""
    found = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal found
        found += event == "call" and frame.f_code.co_filename.startswith(OURS)

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


OURS = (str(Path(proxy.__file__).parent), "<string>")
SENT: dict[str, Any] = {"data": {"value": 9.5, "currency": "EUR", "contents": [{"id": "sku-1", "quantity": 1}]}}
# Changes of the case, changes of the hit; the most calls that each further pixel may cause.
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "sent": ({}, SENT, 3),
    "Purchases": ({}, SENT | {"name": "Purchase"}, 3),
    "forbidden": ({"forbidden": DropReason.GPC}, {}, 2),
    "of a machine": ({"forbidden": DropReason.BOT, "bot": "crawler"}, {}, 2),
    "too old": ({}, {"at": NOW - 8 * 86_400_000}, 2),
    "without a value": ({}, {"name": "Purchase"}, 2),
    "with contact data": ({}, {"id": "anna@x.de"}, 2),
    "not wanted": ({"site": site(pixel=[{"id": pixel, "access_token": "t", "events": []} for pixel in PIXELS])}, {}, 3),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_another_pixel_costs_next_to_nothing(kind: str) -> None:
    """What an event's first pixel needed is reused for all others: each costs two or three calls, sent or dropped."""
    tables.prepare()
    changes, claims, most = PAIRS[kind]
    one, many = (
        [hit(**claims | {"pixels": PIXELS[:count], "place": number}) for number in range(8)] for count in (1, 50)
    )
    first, all_ = (case_of(*hits, **{"site": MANY} | changes) for hits in (one, many))
    further = calls_of_ours(lambda: taken(all_)) - calls_of_ours(lambda: taken(first))

    assert len(all_.records) + len(all_.dropped) == 400
    assert further <= 8 * 49 * most


def test_an_event_is_written_once_for_all_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of one event have the same payload, and those of one visitor the same shared part."""
    written = []
    dumps = orjson.dumps

    def counted(value: Any, *given: Any) -> bytes:
        written.append(value)
        return dumps(value, *given)

    monkeypatch.setattr(orjson, "dumps", counted)
    found = taken(case_of(*(hit(id=str(number), pixels=PIXELS) for number in range(8)), site=MANY))

    assert len({id(record.payload) for record in found.records}) == 8
    assert len({id(record.shared) for record in found.records}) == 1
    assert (len(found.records), len(written)) == (400, 8 + 1)


def test_records_of_browsers_are_whole() -> None:
    """Records made past the constructor of ``Record`` have every member, with the defaults that it would have set."""
    records = taken(case_of(hit(), hit(id="2", name="Purchase", data={"value": 1, "currency": "EUR"}))).records
    firsts = Record._fields.index("shared") + 1

    assert records
    plain = [Record(*record[:firsts]) for record in records]  # type: ignore[arg-type]
    told = [(record.facts, record.arrived) for record in records]
    assert records == [
        record._replace(facts=facts, arrived=at) for record, (facts, at) in zip(plain, told, strict=True)
    ]
