"""The worst requests at the public listener: nothing in the proxy breaks, and the answer is true."""

import logging
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support import ORIGIN, PIXEL, Installation, get_json, installation, page_views, until, wire

from proxy.edge import collect
from proxy.graph import payload
from proxy.queue.contract import QueueFullError
from proxy.telemetry.metrics import Metrics

pytestmark = pytest.mark.usefixtures("front")

SECRET_WORD = "anna@x.de"


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path, bots="ignore") as shop:
        yield shop


async def metric(shop: Installation, name: str) -> dict[str, float]:
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        text = await answer.text()
    return {labels: float(value) for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE)}


async def conditions(shop: Installation) -> list[tuple[str, str]]:
    health = await get_json(shop.session, f"{shop.operator}/readyz")
    return [(condition["code"], condition["subject"]) for condition in health["conditions"]]


def break_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the rules raise an error for the event whose id is ``bad``."""
    right = payload.parts

    def wrong(name: str, time_s: int, identity: str, *more: Any, **named: Any) -> tuple[bytes, bytes, bytes]:
        if identity == "bad":
            raise TypeError(SECRET_WORD)
        return right(name, time_s, identity, *more, **named)

    monkeypatch.setattr(payload, "parts", wrong)


@pytest.mark.parametrize("number", [1e20, 1.7e308, 2**64 - 1])
async def test_a_number_beyond_all_bounds_costs_no_event(shop: Installation, number: float) -> None:
    """An event with a number out of all bounds is sent without it, and the other events arrive."""
    body = wire({"name": "AddToCart", "id": "huge", "data": {"num_items": number}}, {"name": "Lead", "id": "beside"})
    status, headers, _ = await shop.post(body)
    await shop.counted(2)
    found = await get_json(shop.session, f"{shop.graph}/sim/events?id=huge")

    assert (status, headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    assert "custom_data" not in found["events"][0]["event"]


async def test_an_error_nobody_foresaw_is_a_refusal_of_its_event(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that causes an unforeseen error is named, counted, and logged once without values; others arrive."""
    break_judge(monkeypatch)
    caplog.set_level(logging.DEBUG)
    answers = [await shop.post(page_views(["bad", f"good-{number}"])) for number in range(3)]
    await shop.counted(3)
    (place,) = (subject for code, subject in await conditions(shop) if code == "fault")

    assert {(status, body) for status, _, body in answers} == {
        (200, b'{"refused":[{"index":0,"id":"bad","why":"cannot be read"}]}')
    }
    assert place.startswith("TypeError in proxy.rules.written_events._records, line ")
    assert await metric(shop, "capi_proxy_faults_total") == {f'place="{place}"': 3}
    assert caplog.text.count("TypeError") == 1
    assert SECRET_WORD not in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_body_that_leads_to_an_error_is_given_up_by_the_tag(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that causes an error is 400 with CORS, so that the tag does not send it again and again."""
    break_judge(monkeypatch)
    status, headers, body = await shop.post(page_views(["bad"]))

    assert (status, headers["Access-Control-Allow-Origin"]) == (400, ORIGIN)
    assert b"cannot be read" in body


async def test_an_error_of_the_door_itself_has_an_answer_too(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error outside of the rules is a 4xx that the page may read, counted as a request and a fault."""

    def wrong(*_given: Any) -> Any:
        raise KeyError(SECRET_WORD)

    monkeypatch.setattr(collect, "ingest_parts", wrong)
    status, headers, body = await shop.post(page_views(["any"]))

    assert (status, body) == (400, b'{"error":"cannot be read"}')
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert (await metric(shop, "capi_proxy_requests_total"))['endpoint="collect",status="400"'] == 1
    assert [code for code, _ in await conditions(shop)] == ["fault"]
    assert SECRET_WORD not in caplog.text


async def test_a_fault_of_the_store_is_a_503(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """If storing fails, whatever the error, the answer is 503, so that the tag tries again."""

    async def wrong(*_given: Any) -> Any:
        raise RuntimeError(SECRET_WORD)

    monkeypatch.setattr(shop.proxy.queue, "append", wrong)
    status, headers, _ = await shop.post(page_views(["any"]))

    assert (status, headers["Retry-After"], headers["Access-Control-Allow-Origin"]) == (503, "5", ORIGIN)


async def test_what_was_refused_waited_as_what_was_stored(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt to store is timed once, also a refused one; a request without events is not timed."""

    async def full(*_given: Any) -> Any:
        raise QueueFullError("the disk is full")

    fate = {"v": 1, "sent": time.time_ns() // 1_000_000, "fates": [{"name": "Lead", "id": "one", "pixel": "fired"}]}
    answers = [await shop.post(page_views(["one"])), await shop.post(orjson.dumps(fate))]
    monkeypatch.setattr(shop.proxy.queue, "append", full)
    answers.append(await shop.post(page_views(["two"])))
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        text = await answer.text()

    assert [status for status, _, _ in answers] == [204, 204, 503]
    assert "\ncapi_proxy_commit_seconds_count 2.0\n" in text


async def test_a_fault_after_storing_does_not_take_the_promise_back(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error after the events were stored does not change the answer: it is 204, and they are delivered."""

    def wrong(*_given: Any) -> None:
        raise RuntimeError(SECRET_WORD)

    monkeypatch.setattr(Metrics, "decision", wrong)
    status, _, _ = await shop.post(page_views(["kept"]))
    await shop.counted(1)

    assert status == 204


async def test_pixels_of_other_people_do_not_fill_the_ledger(shop: Installation) -> None:
    """400 made-up pairs of event and pixel are one row with that number, and count 400 in the metrics."""
    strangers = [str(number) for number in range(50)]
    body = wire(*({"name": "Lead", "id": f"forged-{number}", "pixels": strangers} for number in range(8)))
    status, _, _ = await shop.post(body)

    async def noted() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await get_json(shop.session, f"{shop.operator}/api/events"))["events"]
        return found

    (row,) = await until(noted, what="a ledger row")
    assert status == 204
    assert (row["id"], row["reason"], row["findings"]) == ("forged-0", "unknown_pixel", ["events:400"])
    events = await metric(shop, "capi_proxy_events_total")
    assert events['reason="unknown_pixel",result="dropped"'] == 400
    assert await metric(shop, "capi_proxy_findings_total") == {}


async def test_a_purchase_without_a_currency_never_reaches_a_batch(shop: Installation) -> None:
    """A Purchase without a currency is acknowledged and dropped with its reason; the other events need one request."""
    bad = [{"name": "Purchase", "id": f"bad-{number}", "data": {"value": 1}} for number in range(20)]
    good = {"name": "Purchase", "id": "good", "data": {"value": 1, "currency": "EUR"}}
    status, _, _ = await shop.post(wire(*bad, good))
    await shop.counted(1)

    async def dropped() -> list[dict[str, Any]] | None:
        found = (await get_json(shop.session, f"{shop.operator}/api/events?reason=missing_currency"))["events"]
        return found if len(found) == 20 else None

    assert status == 204
    assert await until(dropped, what="20 ledger rows")
    assert await metric(shop, "capi_proxy_graph_requests_total") == {
        f'pixel="{PIXEL}",reason="",verdict="delivered"': 1
    }


async def test_a_body_of_the_greatest_size_leaves_a_segment_within_its_bound(
    shop: Installation, tmp_path: Path
) -> None:
    """A body full of events with long addresses adds some hundred kilobytes to the queue, not megabytes."""
    events = [{"name": "Own", "id": f"{number:03}", "data": {"n": number}} for number in range(400)]
    address = "https://shop.example/" + "a" * 2000
    mails = [f"{number}@x.de" for number in range(16)]
    body = wire(*events, url=address, referrer=address, match={PIXEL: {"em": mails, "external_id": mails}})
    await shop.fault(mode="500", **{"for": 60})
    before = sum(path.stat().st_size for path in (tmp_path / "data").glob("queue.db*"))
    status, _, answer = await shop.post(body, User_Agent="Mozilla/5.0 " + "x" * 7000)
    after = sum(path.stat().st_size for path in (tmp_path / "data").glob("queue.db*"))

    assert (status, answer.count(b"accepted: the first 200")) == (200, 200)
    assert after - before < 500_000
