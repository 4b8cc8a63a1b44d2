"""Tables of the backfill: flat event files, and order exports of Shopify and WooCommerce."""

from zoneinfo import ZoneInfo

import pytest
from backfill_samples import SHOPIFY, WOOCOMMERCE, claims_of, events_of, lines_of
from hypothesis import given
from hypothesis import strategies as st

from proxy.backfill.claims import Claim, FileOptions, LeftOut, NotSent, UnreadableFileError
from proxy.backfill.source import Source, parse_columns, parse_constants

BERLIN = ZoneInfo("Europe/Berlin")
FLAT = b"event_name,event_time,event_id,custom_value,custom_currency,user_email,user_phone,custom_colour,shelf\n"
LEAD = b"Lead,1799990000,e-1,12.50,EUR,rose@plants.example,'+4922155,red,A\n"


def test_a_flat_file() -> None:
    """Each row is an event; prefixes of column names say where values belong, and unknown columns are listed."""
    source = Source.of("events.csv", lines_of(FLAT + LEAD), "utf-8", FileOptions())

    assert [claim.event for claim in source.claims if isinstance(claim, Claim)] == [
        {
            "event_name": "Lead",
            "event_time": 1799990000,
            "event_id": "e-1",
            "user_data": {"em": "rose@plants.example", "ph": ["+4922155"]},
            "custom_data": {"value": 12.5, "currency": "EUR", "colour": "red"},
        }
    ]
    assert (source.kind, source.unused) == ("events", ["shelf"])


def test_an_order_export_of_shopify() -> None:
    """The rows of an order make one Purchase; unpaid and cancelled orders make none.

    An order taken at a till has the source ``physical_store``.
    """
    orders = claims_of(SHOPIFY.encode())
    first, unpaid, till, cancelled = orders

    assert isinstance(first, Claim)
    assert first.event == {
        "event_name": "Purchase",
        "event_time": 1799936042,
        "action_source": "website",
        "user_data": {
            "em": "fern@plants.example",
            "ph": ["+49 221 555010", "+49 221 555011"],
            "ct": "Köln",
            "st": "NW",
            "zp": "05066",
            "country": "DE",
        },
        "custom_data": {
            "value": 34.9,
            "currency": "EUR",
            "order_id": "90071992547409931",
            "contents": [
                {"id": "FERN-S", "title": "Fern, small", "quantity": 2, "item_price": 10.0},
                {"id": "POT-1", "title": "Pot", "quantity": 1, "item_price": 10.0},
            ],
            "content_ids": ["FERN-S", "POT-1"],
            "content_type": "product",
            "num_items": 3,
        },
    }
    assert isinstance(till, Claim)
    assert till.event["action_source"] == "physical_store"
    assert [(order.line, order.kind) for order in (unpaid, cancelled) if isinstance(order, NotSent)] == [
        (5, LeftOut.NO_SALE),
        (8, LeftOut.NO_SALE),
    ]
    assert orders[-1].end == len(SHOPIFY.encode())


def test_an_order_export_of_woocommerce() -> None:
    """Semicolons, decimal commas, local times and a guest's customer number 0 are read correctly."""
    order, waiting = claims_of(WOOCOMMERCE.encode("cp1252"), encoding="cp1252", zone=BERLIN, decimal=",")

    assert isinstance(order, Claim)
    assert order.event["event_time"] == 1799917500
    assert order.event["user_data"]["ct"] == "Köln"
    assert "external_id" not in order.event["user_data"]
    assert order.event["custom_data"] | {"contents": []} == {
        "value": 1034.9,
        "currency": "EUR",
        "order_id": "731",
        "contents": [],
        "content_ids": ["TREE", "SOIL"],
        "content_type": "product",
        "num_items": 3,
    }
    assert [item["item_price"] for item in order.event["custom_data"]["contents"]] == [1030.0, 2.45]
    assert isinstance(waiting, NotSent)
    assert waiting.kind is LeftOut.NO_SALE


DESTROYED = [
    ("event_id", "1.24E+12"),
    ("order_id", "9,00720E+15"),
    ("external_id", "1E+10"),
    ("lead_id", "4.5e17"),
    ("phone", "4.92216E+11"),
    ("value", "1.2E+3"),
]


@pytest.mark.parametrize(("column", "cell"), DESTROYED)
def test_a_destroyed_number_is_refused_by_its_line(column: str, cell: str) -> None:
    """A number that a spreadsheet turned into 1.23E+12 is refused, and the reason does not repeat the cell."""
    first, second = claims_of(f'event_name;{column};city\nLead;7;Bonn\nLead;"{cell}";Bonn\n'.encode(), decimal=".")

    assert isinstance(first, Claim)
    assert isinstance(second, NotSent)
    assert (second.line, "digits are lost" in second.why, cell in second.why) == (3, True, False)


AMOUNTS = [
    ("12.50", "", 12.5),
    ("12,50", "", 12.5),
    ("1,234.50", "", 1234.5),
    ("1.234,50", "", 1234.5),
    ("1,234,567", "", 1234567.0),
    ("0,500", "", 0.5),
    ("1,234", ".", 1234.0),
    ("1,234", ",", 1.234),
    ("-3", "", -3.0),
    ("'7", "", 7.0),
    ("1,234", "", "thousands or decimals"),
    ("1.234", "", "thousands or decimals"),
    ("€ 12.50", "", "must be a number"),
    ("12.50 EUR", "", "must be a number"),
    ("1,23,4", "", "must be a number"),
    ("12.50", ",", "must be a number"),
    ("nan", "", "must be a number"),
    ("9" * 40, "", "must be a number"),
]


@pytest.mark.parametrize(("cell", "decimal", "expected"), AMOUNTS)
def test_amounts(cell: str, decimal: str, expected: float | str) -> None:
    """An amount that can be read in only one way is read; any other is refused with advice."""
    (event,) = events_of(f'event_name\tvalue\nLead\t"{cell}"\n'.encode(), decimal=decimal)

    assert isinstance(expected, str) is isinstance(event, str)
    assert str(expected) in event if isinstance(event, str) else event["custom_data"]["value"] == expected


COUNTS = [
    ("2", "", 2),
    ("2.00", ",", 2),
    ("2,0000", "", 2),
    ("1,000", "", "thousands or decimals"),
    ("1.000", "", "thousands or decimals"),
    ("1,000", ".", 1000),
    ("1,000", ",", 1),
    ("1,500", ",", "must be a whole number"),
    ("2.5", "", "must be a whole number"),
    ("two", "", "must be a whole number"),
]


@pytest.mark.parametrize(("cell", "decimal", "expected"), COUNTS)
def test_counts(cell: str, decimal: str, expected: int | str) -> None:
    """A number of products that can be read in only one way is read; any other is refused with advice."""
    (event,) = events_of(f'event_name\tnum_items\nLead\t"{cell}"\n'.encode(), decimal=decimal)

    assert isinstance(expected, str) is isinstance(event, str)
    assert str(expected) in event if isinstance(event, str) else event["custom_data"]["num_items"] == expected


MOMENTS = [
    ("1799990000", None, 1799990000),
    ("2027-01-14 09:14:02 -0500", None, 1799936042),
    ("2027-01-14T14:14:02Z", None, 1799936042),
    ("2027-01-14 14:14:02 UTC", None, 1799936042),
    ("2027-01-14T15:14:02.250+01:00", None, 1799936042),
    ("2027-01-14 15:14:02", BERLIN, 1799936042),
    ("14.01.2027 15:14:02", BERLIN, 1799936042),
    ("14.1.2027, 9:14", BERLIN, 1799914440),
    ("14.01.2027", BERLIN, 1799881200),
    ("2027-01-14 9:14", BERLIN, 1799914440),
    ("2027-01-14 15:14:02", None, "--timezone"),
    ("01/14/2027 09:14", BERLIN, "day or month first"),
    ("1799990000000", None, "milliseconds"),
    ("yesterday", BERLIN, "must be Unix seconds"),
    ("31.02.2027", BERLIN, "must be Unix seconds"),
    ("1.8E+9", None, "digits are lost"),
]


@pytest.mark.parametrize(("cell", "zone", "expected"), MOMENTS)
def test_moments(cell: str, zone: ZoneInfo | None, expected: int | str) -> None:
    """A time that is certain is read; any other is refused with advice."""
    (event,) = events_of(f'event_name\ttime\nLead\t"{cell}"\n'.encode(), zone=zone)

    assert isinstance(expected, str) is isinstance(event, str)
    assert str(expected) in event if isinstance(event, str) else event["event_time"] == expected


def test_columns_of_other_names() -> None:
    """A column can be mapped to a field, left out, or completed by a constant."""
    content = b"Kunde,Netto,Brutto,Notiz,value\na@plants.example,10.00,11.90,x,99.00\n"
    columns = parse_columns(["Kunde=email", "Brutto=value", "value=", "Notiz=custom_data.note"])
    constants = parse_constants(["currency=EUR", "custom_data.source=till", "event_name=Purchase", "value=1"])

    (event,) = events_of(content, columns=columns, constants=constants)

    assert event == {
        "event_name": "Purchase",
        "user_data": {"em": "a@plants.example"},
        "custom_data": {"value": 11.9, "currency": "EUR", "note": "x", "source": "till"},
    }


def test_columns_in_any_alphabet() -> None:
    """Columns whose names have no Latin letter, or no letter at all, can be mapped, however accents are encoded."""
    content = "Почта,Сумма,%,Préfixe\na@plants.example,10.00,5,x\n".encode()
    columns = parse_columns(["Почта=email", "Сумма=value", "%=custom_data.part", "Pre\u0301fixe=custom_data.pre"])

    (event,) = events_of(content, columns=columns)

    assert event == {
        "user_data": {"em": "a@plants.example"},
        "custom_data": {"value": 10.0, "part": "5", "pre": "x"},
    }


@pytest.mark.parametrize("text", ["", "=", "x", "=email", "Kunde=nowhere", "Kunde=user_data.soul", "x=custom_data."])
def test_a_wish_that_cannot_be(text: str) -> None:
    """A text that is no mapping is refused, and the reason repeats it."""
    with pytest.raises(ValueError, match="is not like"):
        parse_columns([text])


@pytest.mark.parametrize("text", ["", "=", "EUR", "currency=", "nowhere=1"])
def test_a_constant_that_cannot_be(text: str) -> None:
    """A text that is no constant is refused, and the reason repeats it."""
    with pytest.raises(ValueError, match="is not like"):
        parse_constants([text])


UNREADABLE = [
    ("events.csv", b"", "empty"),
    ("events.csv", b"\n \n", "empty"),
    ("events.csv", "event_name\nLead\n".encode("utf-16"), "UTF-16"),
    ("events.csv", b'event_name,note\nLead,"open\n' + b"Lead,x\n" * 30_000, "line 2: a quote"),
    ("events.csv", b'event_name,city\nLead,Ulm\nLead,"Bonn\nLead,Ulm\nLead,Ulm\n', "line 3: a quote"),
    ("events.csv", b'event_name,"city\nLead,Ulm\n', "line 1: a quote"),
    ("events.csv", b"rose@plants.example,12.50\nfern@plants.example,8\n", "no column is known"),
    ("events.xlsx", b"PK", "end in .jsonl"),
    ("events.jsonl", b"[\n{}\n]", "jq"),
    ("events.jsonl", b'\n{\n"event_name": "Lead"}', "jq"),
]


@pytest.mark.parametrize(("name", "content", "why"), UNREADABLE)
def test_a_file_of_another_kind(name: str, content: bytes, why: str) -> None:
    """A file that cannot be read at all is refused with advice."""
    with pytest.raises(UnreadableFileError, match=why):
        claims_of(content, name)


def test_a_column_that_is_not_there() -> None:
    """A mapping of a column that the file lacks is refused, and the file's columns are listed."""
    with pytest.raises(UnreadableFileError, match="no column total; there are event_name, Sum"):
        claims_of(b"event_name,Sum\n", columns=parse_columns(["Total=value"]))


def test_bad_rows_leave_their_neighbours_alone() -> None:
    """A row with too many cells is refused by its line; short and blank rows and Excel's ``sep=`` line are accepted."""
    content = b"\xef\xbb\xbfsep=;\r\nevent_name;city;zip\r\nLead;Bonn\r\n;;\r\n\r\nLead;Bonn;1;2;3\r\nLead;Ulm;'09\r\n"

    assert events_of(content) == [
        {"event_name": "Lead", "user_data": {"ct": "Bonn"}},
        "5 cells where the header names 3; is a ';' not in quotes?",
        {"event_name": "Lead", "user_data": {"ct": "Ulm", "zp": "09"}},
    ]
    assert [claim.line for claim in claims_of(content)] == [3, 6, 7]


def test_a_repeated_row_is_one_row() -> None:
    """An order whose rows are repeated keeps its line and its items."""
    header, *rows = SHOPIFY.splitlines(keepends=True)

    (order,) = claims_of((header + rows[0] * 2 + rows[1] * 2).encode())

    assert isinstance(order, Claim)
    assert (order.line, order.event["custom_data"]["num_items"], order.end) == (
        2,
        3,
        len((header + rows[0] * 2 + rows[1] * 2).encode()),
    )


def test_an_order_has_an_end() -> None:
    """In a table whose rows name no order, groups are bounded, so that none takes the whole file."""
    header, first = SHOPIFY.splitlines()[0], "#1,a@plants.example,paid"
    rows = "\n".join(f",,,,,,,,,,,{number},Pot,1.00,POT" for number in range(1, 2501))

    orders = claims_of(f"{header}\n{first}\n{rows}\n".encode())

    assert [order.line for order in orders] == [2, 1002, 2002]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["1.23E+12", "12,50", "'7", "2027-01-14", '"', ";", "paid", "#1", "0", "=1+1", "true"]
)
HEADERS = st.sampled_from([FLAT.decode().strip(), SHOPIFY.splitlines()[0], WOOCOMMERCE.splitlines()[0], "a,b", ""])


@given(HEADERS, st.lists(st.lists(CELLS, max_size=30), max_size=8), st.sampled_from(",;"))
def test_no_table_is_too_odd(header: str, rows: list[list[str]], delimiter: str) -> None:
    """Whatever the cells contain, reading raises at most ``UnreadableFileError``.

    The results come in the order of the file, each with a line number that exists.
    """
    content = "\n".join([header, *(delimiter.join(row) for row in rows)]).encode()
    try:
        claims = claims_of(content, zone=BERLIN)
    except UnreadableFileError:
        return

    ends = [claim.end for claim in claims]
    assert ends == sorted(set(ends))
    assert all(0 < claim.line <= content.count(b"\n") + 1 for claim in claims)
