"""The limits of a browser request: documented as they are, and together a bound on what one request can write."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from received import Received, ingest, ingest_image
from shop_requests import FACTS, NOW, PIXEL, policy

from proxy.edge.collect import tag_answer
from proxy.model.decision import Decision
from proxy.model.record import Record
from proxy.queue.codec import chunks, pack
from proxy.queue.seal import Sealer
from proxy.rules import limits
from proxy.rules.match.keys import HASHED, PLAIN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-it-works.md"
DOCUMENTED = {
    "body": limits.BODY,
    "events": limits.EVENTS,
    "pairs of event and pixel": limits.ROWS,
    "pixels of one event": limits.PIXELS,
    "name": limits.NAME,
    "id": limits.ID,
    "levels of custom data": limits.DEPTH,
    "members of custom data": limits.MEMBERS,
    "amounts and counts": limits.NUMBER,
    "values of one match key": limits.VALUES,
    "user agent": limits.USER_AGENT,
    "address": limits.ADDRESS,
    "all records": limits.RECORDS,
}
ALL = [str(number) for number in range(50)]
SOME_SITE: dict[str, Any] = {"pixel": [{"id": pixel, "access_token": "t"} for pixel in ALL], "bots": "ignore"}


def test_the_table_has_the_numbers_of_the_program() -> None:
    """Each limit is in the documentation's table, where its number comes first in the cell."""
    table = PAGE.read_text().partition("## Limits of a request")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", table, re.MULTILINE)
    written = {name: cell.replace(",", "") for name, cell in rows if name in DOCUMENTED}

    assert {name: _number(cell) for name, cell in written.items()} == DOCUMENTED


def _number(cell: str) -> int:
    (number, unit), *_ = re.findall(r"([0-9]+)( KiB)?", cell)
    return int(number) * (1024 if unit else 1)


ADDRESS = "https://shop.example/?utm_source="
# The match data whose JSON is shortest for the most records: four hashes for each name, and ids of full length.
MOST_MATCH = {
    **{name: [f"{hashed:x}" * 64 + ".AAAAAAAA" for hashed in range(1, 5)] for name in HASHED},
    **{name: "\\" * 200 for name in PLAIN if not name.endswith(("lead_id", "login_id"))},
}
SHORT_MATCH = {name: ["1", "2", "3", "4"] for name in ("external_id", "app_user_id", "fn", "ln", "ct", "zp", "fi")}


def events(pixels: Iterable[str], *, room: int, **members: Any) -> list[dict[str, Any]]:
    """Return as many events as fit into ``room`` bytes, at most 5 more than a body may have."""
    sample = {"name": "Own", "id": "000", "at": NOW, "pixels": list(pixels), **members}
    count = min(limits.EVENTS + 5, room // (len(orjson.dumps(sample)) + 1))
    return [sample | {"id": sample["id"][:-3] + f"{number:03}"} for number in range(count)]


def worst(pixels: Iterable[str], match: Mapping[str, Any] | None = None, **members: Any) -> bytes:
    around = {
        "v": 1,
        "sent": NOW,
        "url": ADDRESS + "a" * (limits.ADDRESS - len(ADDRESS)),
        "referrer": ADDRESS + "b" * (limits.ADDRESS - len(ADDRESS)),
        "fbc": "fb.1.1." + "c" * 500,
        "consent": "granted",
        "dpo": [["LDU"], 1, 1000],
        "match": match or {},
    }
    room = limits.BODY - len(orjson.dumps(around)) - 20
    body = orjson.dumps(around | {"events": events(pixels, room=room, **members)})
    assert len(body) <= limits.BODY
    return body


# Bodies of up to 64 KiB that cause large records, each in another way.
WORST = {
    "a-visitor-with-everything": worst(["0"], {"0": MOST_MATCH}),
    "for-two-pixels": worst(["0", "1"], {"0": MOST_MATCH, "1": MOST_MATCH}),
    "hashes-for-each-pixel": worst(ALL[:8], dict.fromkeys(ALL, SHORT_MATCH)),
    "hashes-for-all-pixels": worst(ALL, dict.fromkeys(ALL, SHORT_MATCH)),
    "long-names-and-ids": worst(ALL, name='"' * 100, id='"' * 200),
    "names-of-another-script": worst(ALL, name="購" * 100, id="入" * 200),
    "numbers-that-grow": worst(["0", "1"], data={"own": [1e15] * 50}),
    "data-for-all-pixels": worst(ALL, data={"own": "text " * 100}),
    "findings": worst(
        ALL, data=dict.fromkeys(("value", "num_items", "predicted_ltv", "net_revenue", "order_id"), "x,")
    ),
    "two-large-events-for-four": worst(ALL[:4], data={"own": "x " * 14_000}),
    "four-hashed-names-for-20": worst(ALL[:20], dict.fromkeys(ALL, SHORT_MATCH)),
    "one-large-event-for-all": worst(ALL, data={"own": "x " * 20_000}),
    "events-without-end": worst(["0"], data={"a": 1}),
}
LONG = Received(
    **FACTS._asdict()
    | {
        "user_agent": "\ufffd" * 8000,
        "cookie": "a=" + "x" * 8000,
        "forwarded": "1.1.1.1," * 1000,
        "entropy": 2**128 - 1,
    }
)


def sealed_bytes(outcome: Decision) -> int:
    by_pixel: dict[str, list[Record]] = {}
    for record in outcome.records:
        by_pixel.setdefault(record.pixel, []).append(record)
    sealer = Sealer("a secret for tests that is long enough")
    return sum(len(sealer.seal(pack(chunk), b"1")) for some in by_pixel.values() for chunk in chunks(some))


@pytest.mark.parametrize("body", WORST.values(), ids=WORST)
def test_no_request_comes_to_more_than_its_bound(body: bytes) -> None:
    """A request of 64 KiB takes at most 300 KiB of the queue, whatever its body and headers."""
    outcome = ingest(LONG._replace(body=body), policy(**SOME_SITE))

    assert outcome.faults == ()
    assert max((len(record.shared) for record in outcome.records), default=0) <= limits.SHARED
    assert sealed_bytes(outcome) <= limits.SEGMENTS
    assert outcome.records or b"size: too large" in tag_answer(outcome).body
    assert len(tag_answer(outcome).body) < 200_000


def test_the_worst_requests_come_near_the_bound() -> None:
    """One of the bodies above uses more than 70 % of the bound, so the bound is not far too high."""
    sizes = [sealed_bytes(ingest(LONG._replace(body=body), policy(**SOME_SITE))) for body in WORST.values()]

    assert max(sizes) > 0.7 * limits.SEGMENTS


def test_a_long_user_agent_is_cut_and_named() -> None:
    """The first 512 characters are sent, since the browser's name stands there; a finding says so."""
    request = FACTS._replace(body=worst([PIXEL], data={}), user_agent=FACTS.user_agent + " x" * 400)
    outcome = ingest(request, policy())
    sent = orjson.loads(outcome.records[0].whole)["user_data"]["client_user_agent"]

    assert (sent, outcome.records[0].findings) == (request.user_agent[:512], ("client_user_agent:cut",))


def test_the_referer_of_the_image_is_cut_as_an_address() -> None:
    """Without its query it is still the page; one that is too long even then is left out; each with a finding."""
    page = "https://shop.example/p"
    cut = ingest_image(FACTS._replace(referer=page + "?x=" + "y" * 3000), policy()).records[0]
    gone = ingest_image(FACTS._replace(referer=page + "/" + "y" * 3000), policy()).records[0]

    assert (orjson.loads(cut.whole)["event_source_url"], cut.findings) == (page, ("event_source_url:cut",))
    assert ("event_source_url" in orjson.loads(gone.whole), gone.findings) == (False, ("event_source_url:unusable",))


@pytest.mark.parametrize("left", ["1.1.1.1, " * 500, "x" * 5000 + ", "])
def test_of_a_long_forwarding_list_the_right_end_counts(left: str) -> None:
    """Text that a stranger put at the left, however long, does not hide what the trusted proxy appended."""
    request = FACTS._replace(body=worst([PIXEL]), peer="10.0.0.1", forwarded=left + "93.184.216.34")
    outcome = ingest(request, policy(), ("10.0.0.0/8",))

    assert orjson.loads(outcome.records[0].whole)["user_data"]["client_ip_address"] == "93.184.216.34"
