"""The simulator's faults, each as a real client meets it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient
from simulator_samples import EVENTS, Client, Clock, event, send, stored

from proxy.simulator.graph.app import Handler, make_app
from proxy.simulator.graph.faults import TICK, FaultOrder
from proxy.simulator.graph.state import SIMULATOR

NEVER = 30


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock(0)


@pytest.fixture(name="client")
async def _client(aiohttp_client: AiohttpClient, clock: Clock) -> Client:
    return await aiohttp_client(make_app(now=Clock(), clock=clock))


async def _order(client: Client, **order: Any) -> None:
    response = await client.post("/sim/faults", json=order)
    assert response.status == 200, await response.text()


async def _hits(client: Client) -> list[int]:
    faults = (await (await client.get("/sim/faults")).json())["faults"]
    return [fault["hits"] for fault in faults]


async def _until_hit(client: Client) -> None:
    async with asyncio.timeout(60):
        while await _hits(client) != [1]:
            pass


ANSWERS = [
    ({"mode": "500"}, 500, 2, None, True),
    ({"mode": "500", "status": 503, "code": 1}, 503, 1, None, True),
    ({"mode": "429"}, 429, 4, None, True),
    ({"mode": "429", "status": 400, "code": 613, "subcode": 1487742}, 400, 613, 1487742, True),
    ({"mode": "190"}, 401, 190, None, None),
    ({"mode": "190", "status": 400, "subcode": 463}, 400, 190, 463, None),
]


@pytest.mark.parametrize(("order", "status", "code", "subcode", "transient"), ANSWERS)
async def test_errors_to_order(
    client: Client, order: dict[str, Any], status: int, code: int, subcode: int | None, *, transient: bool | None
) -> None:
    """The answering modes give their status and code, or those ordered, and store nothing."""
    await _order(client, **order)

    got, answer = await send(client, event())
    error = answer["error"]

    assert (status, code, subcode, transient) == (
        got,
        error["code"],
        error.get("error_subcode"),
        error.get("is_transient"),
    )
    assert await stored(client) == []


async def test_a_page_instead_of_json(client: Client) -> None:
    """`html` makes the failure look like a load balancer's."""
    await _order(client, mode="500", html=True, status=502)

    response = await client.post(EVENTS)

    assert (response.status, response.content_type) == (502, "text/html")


async def test_throttling_shows_its_usage(client: Client) -> None:
    """A throttled answer carries both usage headers, with the minutes ordered."""
    await _order(client, mode="429", regain=7)

    headers = (await client.post(EVENTS)).headers

    assert '"call_count":100' in headers["X-App-Usage"]
    assert '{"123":[{' in headers["X-Business-Use-Case-Usage"]
    assert '"estimated_time_to_regain_access":7' in headers["X-Business-Use-Case-Usage"]


@pytest.mark.parametrize("mode", ["500", "429", "190"])
async def test_stored_but_not_said(client: Client, mode: str) -> None:
    """With `after` the events are stored although the client gets an error."""
    await _order(client, mode=mode, after=True)

    status, _ = await send(client, event())

    assert status != 200
    assert len(await stored(client)) == 1


@pytest.mark.parametrize(("after", "copies"), [(False, 0), (True, 1)])
async def test_reset(client: Client, after: bool, copies: int) -> None:  # noqa: FBT001
    """The connection is reset without an answer, before or after storing."""
    await _order(client, mode="reset", after=after)

    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        await send(client, event())

    assert copies == len(await stored(client))


@pytest.mark.parametrize(("after", "copies"), [(False, 0), (True, 1)])
async def test_silence_until_the_fault_ends(client: Client, clock: Clock, after: bool, copies: int) -> None:  # noqa: FBT001
    """A request is held without an answer, and closed without one when the fault ends."""
    await _order(client, mode="timeout", after=after, **{"for": NEVER})
    waiting = asyncio.create_task(send(client, event()))
    await _until_hit(client)
    assert not waiting.done()

    clock.at += NEVER

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await waiting
    assert copies == len(await stored(client))


async def test_silence_ends_when_the_client_leaves() -> None:
    """The handler of a held request ends with its connection."""
    left = asyncio.Event()

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        left.set()
        return answer

    app = make_app()
    app[SIMULATOR].faults.apply(FaultOrder(mode="timeout"))
    app.middlewares.append(watch)

    async with _served(app) as url, aiohttp.ClientSession(url) as session:
        with pytest.raises(TimeoutError):
            await session.post(EVENTS, timeout=aiohttp.ClientTimeout(total=2 * TICK))
        async with asyncio.timeout(60):
            await left.wait()


@asynccontextmanager
async def _served(app: web.Application) -> AsyncIterator[str]:
    # aiohttp's test server cancels the handlers of clients that left, unlike a real server.
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_silence_ends_with_the_server(aiohttp_client: AiohttpClient) -> None:
    """A held request does not keep the simulator from closing."""
    client: Client = await aiohttp_client(make_app())
    await _order(client, mode="timeout")
    waiting = asyncio.create_task(send(client, event()))
    await _until_hit(client)

    # aiohttp itself would give up after a minute.
    async with asyncio.timeout(30):
        await client.server.close()

    with pytest.raises(aiohttp.ClientError):
        await waiting


async def test_slow(client: Client, clock: Clock) -> None:
    """A slow answer is correct, but does not come before its delay."""
    await _order(client, mode="slow", delay=NEVER)
    waiting = asyncio.create_task(send(client, event()))
    await _until_hit(client)
    assert (waiting.done(), await stored(client)) == (False, [])

    clock.at += NEVER
    status, answer = await waiting

    assert (status, answer["events_received"]) == (200, 1)
    assert len(await stored(client)) == 1


async def test_slow_after_storing(client: Client, clock: Clock) -> None:
    """With `after` a slow request is stored at once and only answered late."""
    await _order(client, mode="slow", delay=NEVER, after=True)
    waiting = asyncio.create_task(send(client, event()))
    await _until_hit(client)
    assert len(await stored(client)) == 1

    clock.at += NEVER

    assert (await waiting)[0] == 200
    assert len(await stored(client)) == 1


@pytest.mark.parametrize(
    ("order", "changes", "code"),
    [
        ({}, {"event_id": "my-poison-1"}, (100, 2804017)),
        ({"match": "Bad"}, {"event_name": "BadName"}, (100, 2804017)),
        ({"code": 100, "subcode": 2804087}, {"event_id": "poison"}, (100, 2804087)),
    ],
)
async def test_poison(client: Client, order: dict[str, Any], changes: dict[str, Any], code: tuple[int, int]) -> None:
    """A poisoned event refuses every batch it is in; batches without it pass."""
    await _order(client, mode="poison", **order)

    status, answer = await send(client, event(), event(changes))
    good, _ = await send(client, event())

    assert (400, *code) == (status, answer["error"]["code"], answer["error"]["error_subcode"])
    assert (good, len(await stored(client))) == (200, 1)


async def test_poison_spares_events_without_id(client: Client) -> None:
    """An event without an id can be poisonous only by its name."""
    await _order(client, mode="poison")

    assert (await send(client, event(event_id=None)))[0] == 200


async def test_faults_end_by_themselves(client: Client, clock: Clock) -> None:
    """`for` is how many seconds a fault lasts."""
    await _order(client, mode="500", **{"for": 5})
    clock.at = 4.9
    during, _ = await send(client, event())
    clock.at = 5
    afterwards, _ = await send(client, event())

    assert (during, afterwards, await _hits(client)) == (500, 200, [])


@pytest.mark.parametrize("mode", [None, "none"])
async def test_faults_can_be_called_off(client: Client, mode: str | None) -> None:
    """An order without a mode and a pixel ends every fault."""
    await _order(client, mode="500")
    await _order(client, mode="500", pixel="123")
    await _order(client, mode=mode)

    assert (await send(client, event()))[0] == 200


async def test_a_fault_for_one_pixel(client: Client) -> None:
    """A fault of one pixel affects only that pixel, replaces the general fault there, and ends by itself."""
    await _order(client, mode="190")
    await _order(client, mode="500", pixel="123")
    of_this_pixel, of_another_pixel = await client.post(EVENTS), await client.post("/v26.0/456/events")
    await _order(client, mode=None, pixel="123")
    ended = await client.post(EVENTS)

    assert [of_this_pixel.status, of_another_pixel.status, ended.status] == [500, 401, 401]


async def test_a_share_of_the_requests(client: Client) -> None:
    """`rate` spreads the hits evenly: half of them is every second request."""
    await _order(client, mode="500", rate=0.5)

    assert [(await send(client, event()))[0] for _ in range(4)] == [200, 500, 200, 500]
    assert await _hits(client) == [2]


@pytest.mark.parametrize(
    ("body", "field", "value", "accepted"),
    [
        ({"mode": "501"}, "mode", "501", "'timeout'"),
        ({"mode": 500}, "mode", 500, "'timeout'"),
        ({"mode": ["500"]}, "mode", "list", "'timeout'"),
        ({}, "mode", "dict", "required"),
        ({"mode": "500", "for": 0}, "for", 0, "greater than 0"),
        ({"mode": "500", "for": "5"}, "for", "5", "number"),
        ({"mode": "500", "rate": 2}, "rate", 2, "less than or equal to 1"),
        ({"mode": "500", "status": 200}, "status", 200, "greater than or equal to 400"),
        ({"mode": "500", "after": 1}, "after", 1, "boolean"),
        ({"mode": "500", "until": 1}, "until", 1, "not permitted"),
        ([], "", "list", "dictionary"),
    ],
)
async def test_a_wrong_order(client: Client, body: Any, field: str, value: Any, accepted: str) -> None:
    """A wrong order is 400, names field, value and what is accepted, and changes nothing."""
    response = await client.post("/sim/faults", json=body)
    (error,) = (await response.json())["errors"]

    assert (400, field, value) == (response.status, error["field"], error["value"])
    assert accepted in error["accepted"]
    assert await _hits(client) == []


async def test_an_order_that_is_no_json(client: Client) -> None:
    """An order that is not JSON is answered with 400, which says so."""
    response = await client.post("/sim/faults", data=b"{")

    assert response.status == 400
    assert (await response.json())["errors"][0]["accepted"] == "JSON"


@pytest.mark.parametrize(("after", "copies"), [(False, 0), (True, 1)])
async def test_half_a_body(client: Client, after: bool, copies: int) -> None:  # noqa: FBT001
    """A success ends in the middle of its body, before or after storing."""
    await _order(client, mode="half", after=after)

    with pytest.raises(aiohttp.ClientPayloadError):
        await send(client, event())

    assert copies == len(await stored(client))


@pytest.mark.parametrize(("after", "copies"), [(False, 0), (True, 1)])
async def test_a_wrong_count(client: Client, after: bool, copies: int) -> None:  # noqa: FBT001
    """The answer is a success with another count than the number sent, whether the events were stored or not."""
    await _order(client, mode="count", received=7, after=after)

    status, answer = await send(client, event())

    assert (status, answer["events_received"], len(await stored(client))) == (200, 7, copies)
