"""What health reports about delivery: Graph's errors in Meta's words, events that wait too long, missing pixels."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr
from servers import stand_in
from support import PIXEL, SECRET, TOKEN, get_json, installation, page_views, raw_config, record, until

from proxy.app import run_proxy
from proxy.config import load
from proxy.config.schema import GraphSettings, Pixel, QueueSettings, RetentionSettings
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.expiry import Expiry
from proxy.delivery.lane_state import LaneState
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.model.verdict import Delivered, GraphError, Pause, Retry
from proxy.queue.contract import Filter
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import LocalQueue
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = int(time.time() * 1000)


@asynccontextmanager
async def queue_in(directory: Path) -> AsyncIterator[LocalQueue]:
    queue = LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=RetentionSettings(),
        now=lambda: NOW,
        on_broken=lambda _error: None,
    )
    try:
        yield queue
    finally:
        await queue.close()


@asynccontextmanager
async def before(directory: Path, answer: Handler) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Run a proxy with a Graph that answers as given; yield a client and the operator's address."""
    app = web.Application()
    app.router.add_post("/{version}/{pixel}/events", answer)
    async with AsyncExitStack() as stack:
        graph = await stack.enter_async_context(stand_in(app))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        loaded = load.parse(raw_config(graph, directory / "data"), {}, base=directory)
        proxy = await stack.enter_async_context(run_proxy(loaded))
        yield session, f"http://{proxy.operator.host}:{proxy.operator.port}"


async def wait_in(directory: Path, *records: Record) -> None:
    data = directory / "data"
    data.mkdir()
    async with queue_in(data) as queue:
        await queue.append(records)


async def condition(session: aiohttp.ClientSession, operator: str, code: str) -> dict[str, Any]:
    """Wait until a condition exists; return the whole status."""

    async def stands() -> dict[str, Any] | None:
        status = await get_json(session, f"{operator}/api/status")
        return status if any(condition["code"] == code for condition in status["conditions"]) else None

    found: dict[str, Any] = await until(stands, what=code)
    return found


async def test_health_is_not_green_while_graph_answers_errors(tmp_path: Path) -> None:
    """While Graph answers 500, a condition has the pixel and Meta's words; it ends soon after a delivery."""
    async with installation(tmp_path) as shop:
        await shop.fault(mode="500", **{"for": 2})
        await shop.post(page_views(["e-1"]))
        status = await condition(shop.session, shop.operator, "graph_errors")
        await shop.counted(1)

        async def ready() -> bool:
            return bool((await get_json(shop.session, f"{shop.operator}/readyz"))["status"] == "ready")

        assert await until(ready, what="readiness", seconds=60)

    (lane,) = status["lanes"]
    (reported,) = status["conditions"]
    assert (status["status"], reported["subject"], reported["failing"]) == ("degraded", PIXEL, False)
    assert (lane["last_error"], lane["graph_error"]["code"]) == ("down", 2)
    assert lane["graph_error"]["message"] in reported["detail"]
    assert lane["graph_error"]["fbtrace_id"] in reported["detail"]


async def test_metas_words_about_a_token_stand_in_status_and_once_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Status and log have code, subcode, trace and message, but neither the repeated token nor control characters."""
    message = f"Malformed access token {TOKEN}\n\x1b[31mred\u202e"

    async def refuse(_request: web.Request) -> web.Response:
        error = {"code": 190, "error_subcode": 463, "fbtrace_id": "Trace1\x1b]", "message": message}
        return web.Response(status=401, body=orjson.dumps({"error": error}))

    await wait_in(tmp_path, record(1))
    with caplog.at_level(logging.WARNING):
        async with before(tmp_path, refuse) as (session, operator):
            status = await condition(session, operator, "pixel_paused")

    (lane,) = status["lanes"]
    graph_error = [line.getMessage() for line in caplog.records if "Meta says" in line.getMessage()]
    assert (lane["graph_error"]["code"], lane["graph_error"]["subcode"]) == (190, 463)
    assert lane["graph_error"]["message"].startswith("Malformed access token [token]")
    assert len(graph_error) == 1
    assert (
        "code 190, subcode 463, trace Trace1\\x1b], Malformed access token [token]\\n\\x1b[31mred\\u202e"
        in graph_error[0]
    )
    assert TOKEN not in caplog.text + str(status)


def test_a_condition_changes_with_what_is_wrong() -> None:
    """A pause replaces errors and vice versa; a delivery ends a pause at once, and errors soon after."""
    now = NOW
    conditions = Conditions(lambda: now)
    state = LaneState(PIXEL, conditions)

    def codes() -> list[tuple[str, str]]:
        return [(condition.code, condition.detail) for condition in conditions.current()]

    state.fail(Retry("http_502"))
    assert codes() == [("graph_errors", "http_502")]
    state.fail(Pause("token", GraphError(190, None, "x" * 900)))
    ((code, detail),) = codes()
    assert (code, len(detail) < 260) == ("pixel_paused", True)
    state.fail(Retry("timeout"))
    assert codes() == [("graph_errors", "timeout")]
    state.recover()
    now += 9_000
    assert codes() == [("graph_errors", "timeout")]
    now += 2_000
    assert codes() == []
    state.fail(Pause("token"))
    state.recover()
    assert codes() == []


async def test_readiness_fails_by_the_age_of_the_oldest_waiting_event(tmp_path: Path) -> None:
    """An event that has waited too long for its first delivery fails readiness."""
    await wait_in(tmp_path, *(record(number) for number in range(3)))
    async with queue_in(tmp_path / "data") as queue:
        await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET at=?", (NOW - 16 * 60_000,)))

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with before(tmp_path, hang) as (session, operator):
        status = await condition(session, operator, "delivery_late")

    (late,) = (condition for condition in status["conditions"] if condition["code"] == "delivery_late")
    (lane,) = status["lanes"]
    assert (late["subject"], late["failing"], status["status"]) == (PIXEL, True, "failing")
    assert lane["oldest"] >= 16 * 60_000
    assert lane["suspects"] == 0


async def test_held_events_are_shown_apart_and_fail_nothing(tmp_path: Path) -> None:
    """Status and metrics show how many waiting events are held; those have no age, and readiness holds."""
    hold = 86_400_000
    await wait_in(tmp_path, *(record(number)._replace(not_before=NOW + hold) for number in range(3)))
    async with queue_in(tmp_path / "data") as queue:
        await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET at=?", (NOW - hold,)))

    async def unasked(_request: web.Request) -> web.Response:
        raise AssertionError

    async with before(tmp_path, unasked) as (session, operator):
        status = await get_json(session, f"{operator}/api/status")
        async with session.get(f"{operator}/metrics") as answer:
            metrics = (await answer.text()).splitlines()

    (lane,) = status["lanes"]
    assert (status["status"], status["conditions"]) == ("ready", [])
    assert (lane["waiting"], lane["held"], lane["oldest"], lane["failures"]) == (3, 3, 0, 0)
    assert f'capi_proxy_waiting_events{{pixel="{PIXEL}"}} 3.0' in metrics
    assert f'capi_proxy_held_events{{pixel="{PIXEL}"}} 3.0' in metrics


async def test_suspects_that_wait_do_not_fail_readiness(tmp_path: Path) -> None:
    """A sender of bad events can degrade health, but not make the proxy unready."""
    await wait_in(tmp_path, record(1))
    async with queue_in(tmp_path / "data") as queue:
        sql = "UPDATE segment SET at=?, suspect=1"
        await queue._writer.do(lambda: queue._store.tables.db.execute(sql, (NOW - 2 * 60 * 60_000,)))

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with before(tmp_path, hang) as (session, operator):
        status = await condition(session, operator, "suspects_late")

    assert (status["status"], status["lanes"][0]["suspects"]) == ("degraded", 1)


def expiry_of(queue: LocalQueue, conditions: Conditions, metrics: Metrics) -> Expiry:
    return Expiry([PIXEL], queue=queue, metrics=metrics, conditions=conditions, now=lambda: NOW)


async def test_old_events_of_paused_and_removed_pixels_become_dead_letters(tmp_path: Path) -> None:
    """Events older than 7 days become dead letters without a lane, whatever their pixel; younger ones keep waiting."""
    old, young = (NOW - 7 * DAY_MS) // 1000 - 60, NOW // 1000
    conditions, metrics = Conditions(lambda: NOW), Metrics()
    async with queue_in(tmp_path) as queue:
        for start in range(0, 3000, 500):
            await queue.append([record(number, time_s=old) for number in range(start, start + 500)])
        await queue.append([record(5000, time_s=young), record(1, pixel="gone", time_s=old)])
        await queue.append([record(2, pixel="gone", time_s=young)])
        await expiry_of(queue, conditions, metrics).look()

        assert queue.stats().waiting == {PIXEL: 1, "gone": 1}
        assert queue.stats().dead == 3001
        assert {letter.reason for letter in await queue.dead_letters(Filter(limit=4000))} == {"too_old"}
        text = metrics.render(queue.stats()).decode()
    assert f'capi_proxy_finished_events_total{{pixel="{PIXEL}",status="dead"}} 3000.0' in text


async def test_events_of_a_pixel_that_is_not_configured_are_told(tmp_path: Path) -> None:
    """A condition has the pixel and the number of its waiting events, and ends when there are none."""
    conditions = Conditions(lambda: NOW)
    async with queue_in(tmp_path) as queue:
        await queue.append([record(1), record(2, pixel="gone"), record(3, pixel="gone")])
        expiry = expiry_of(queue, conditions, Metrics())
        await expiry.look()
        (told,) = conditions.current()
        segments = await queue.claim("gone", most=10)
        await queue.expire(before_s=NOW // 1000 + 60)
        await queue.release(segments)
        await queue.expire(before_s=NOW // 1000 + 60)
        await expiry.look()

    assert (told.code, told.subject, told.detail) == ("pixel_not_configured", "gone", "2 events wait")
    assert conditions.current() == []


async def test_a_proxy_looks_for_old_events_when_it_starts(tmp_path: Path) -> None:
    """An old event of a pixel that was removed from the configuration becomes a dead letter soon after the start."""
    old = (NOW - 7 * DAY_MS) // 1000 - 60
    await wait_in(tmp_path, record(1, pixel="gone", time_s=old), record(2, pixel="gone"))

    async def take(_request: web.Request) -> web.Response:
        return web.json_response({"events_received": 1})

    async with before(tmp_path, take) as (session, operator):
        status = await condition(session, operator, "pixel_not_configured")
        letters = (await get_json(session, f"{operator}/api/dead"))["dead"]

    assert [(letter["pixel"], letter["reason"]) for letter in letters] == [("gone", "too_old")]
    assert [condition["subject"] for condition in status["conditions"]] == ["gone"]


async def test_a_hundred_hanging_pixels_do_not_hold_the_healthy_one() -> None:
    """A healthy pixel's request is sent at once, however many requests of other pixels hang."""
    hanging = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal hanging
        if request.match_info["pixel"] == "1":
            return web.json_response({"events_received": 1})
        hanging += 1
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_post("/{version}/{pixel}/events", answer)
    async with stand_in(app) as address, graph_session(30.0) as session:
        graph = GraphClient(session, GraphSettings(url=address), lambda: NOW, Conditions(lambda: NOW))

        def send(pixel: int) -> Any:
            chosen = Pixel.model_construct(id=str(pixel), access_token=SecretStr("t"), app_secret=SecretStr(""))
            return asyncio.create_task(graph.send(chosen, [record(1)]))

        requests = [send(1000 + number) for number in range(150)]

        async def all_hang() -> bool:
            return hanging == 150

        await until(all_hang, what="150 requests under way", seconds=25)
        healthy = await asyncio.wait_for(send(1), 25)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    assert healthy == Delivered(1, 1)
