"""Floods of requests: a client that sends too much is told when to come again, and all others are served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support import ORIGIN, TOKEN, Installation, get_json, installation, page_views, until, wire

from proxy.edge import admission, turns
from proxy.edge.collect import next_part
from proxy.edge.turns import Turns
from proxy.model.decision import Decision
from proxy.rules.effort import Parts

pytestmark = pytest.mark.usefixtures("front")

OTHER = "93.184.216.35"
HEAD = f"POST /shop-tools/e HTTP/1.1\r\nHost: t.shop.example\r\nOrigin: {ORIGIN}\r\n"


@asynccontextmanager
async def shop_with(directory: Path, **limits: int) -> AsyncIterator[Installation]:
    async with installation(directory, more={"limits": limits}) as shop:
        yield shop


@pytest.fixture(name="still")
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the limits, since on a busy machine seconds may lie between two requests."""
    original = admission.Admission.__init__

    def begin(self: admission.Admission, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **{**named, "clock": lambda: 1000.0})

    monkeypatch.setattr(admission.Admission, "__init__", begin)


async def limited(shop: Installation) -> dict[str, float]:
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    start = 'capi_proxy_limited_total{reason="'
    return {line[len(start) :].partition('"')[0]: float(line.split()[-1]) for line in lines if line.startswith(start)}


async def conditions(shop: Installation) -> list[tuple[str, str, bool]]:
    status = await get_json(shop.session, f"{shop.operator}/api/status")
    return [(condition["code"], condition["subject"], condition["failing"]) for condition in status["conditions"]]


@pytest.mark.usefixtures("still")
async def test_beyond_its_rate_an_address_is_told_to_come_again(tmp_path: Path) -> None:
    """The 429 names the seconds to wait, a page may read it, others are served, and readiness is degraded at most."""
    async with shop_with(tmp_path, requests_per_second=1, burst=3) as shop:
        answers = [await shop.post(page_views([f"r{number}"])) for number in range(5)]
        neighbour = await shop.post(page_views(["r9"]), X_Forwarded_For=OTHER)
        found, counts = await conditions(shop), await limited(shop)

    assert [status for status, _, _ in answers] == [204, 204, 204, 429, 429]
    headers = answers[-1][1]
    assert int(headers["Retry-After"]) in range(1, 4)
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After"
    assert neighbour[0] == 204
    assert found == [("limited", "rate", False)]
    assert counts == {"rate": 2}


@pytest.mark.usefixtures("still")
async def test_an_ipv6_line_is_one_client(tmp_path: Path) -> None:
    """Addresses in one IPv6 /64 share a client's limit; the next /64 is another client."""
    async with shop_with(tmp_path, requests_per_second=1, burst=2) as shop:
        statuses = [
            (await shop.post(page_views([address]), X_Forwarded_For=address))[0]
            for address in ("2606:2800:220:1::1", "2606:2800:220:1::2", "2606:2800:220:1:9::3", "2606:2800:220:2::1")
        ]

    assert statuses == [204, 204, 429, 204]


@pytest.mark.usefixtures("still")
async def test_a_refused_request_needs_no_body(tmp_path: Path) -> None:
    """The 429 comes before the body was sent."""
    async with shop_with(tmp_path, requests_per_second=1, burst=1) as shop:
        await shop.post(page_views(["b1"]))
        async with half_sent(shop, 1, "Content-Length: 50000") as (reader,):
            first = await asyncio.wait_for(reader.readline(), 60)

    assert first.split()[1] == b"429"


@pytest.mark.usefixtures("still")
async def test_each_event_counts(tmp_path: Path) -> None:
    """A request with many events costs as much as that many requests."""
    events = [{"name": "PageView", "id": f"e{number}"} for number in range(50)]
    async with shop_with(tmp_path, requests_per_second=1, burst=10) as shop:
        first, second = await shop.post(wire(*events)), await shop.post(page_views(["one"]))

    assert (first[0], second[0]) == (204, 429)
    assert int(second[1]["Retry-After"]) > 30


@pytest.mark.usefixtures("still")
async def test_an_event_for_two_pixels_is_one(tmp_path: Path) -> None:
    """An event for two pixels counts once, since the limit is for what a visitor does, not for a site's pixels."""
    pixels = [{"id": "1", "access_token": TOKEN}, {"id": "2", "access_token": TOKEN}]
    async with installation(tmp_path, more={"limits": {"requests_per_second": 1, "burst": 3}}, pixel=pixels) as shop:
        statuses = [
            (await shop.post(wire({"name": "PageView", "id": f"p{number}", "pixels": ["1", "2"]})))[0]
            for number in range(4)
        ]

    assert statuses == [204, 204, 204, 429]


@pytest.mark.usefixtures("still")
async def test_health_is_asked_without_limit(tmp_path: Path) -> None:
    """Health checks have no limit: they get 200 during a flood, even from the address that floods."""
    async with shop_with(tmp_path, requests_per_second=1, burst=1) as shop:
        for number in range(5):
            await shop.post(page_views([f"h{number}"]))
            async with shop.session.get(f"{shop.public}/healthz") as answer:
                assert answer.status == 200


@pytest.mark.usefixtures("still")
async def test_the_tag_is_limited_too(tmp_path: Path) -> None:
    """Every address except health counts for the limit, so a flood of tag requests is limited too."""
    async with shop_with(tmp_path, requests_per_second=1, burst=3) as shop:
        statuses = []
        for path in ("/shop-tools/m.js", "/nowhere", "/shop-tools/n.gif", "/shop-tools/m.js"):
            headers = {"X-Forwarded-For": OTHER, "Referer": "https://shop.example/"}
            async with shop.session.get(shop.public + path, headers=headers) as answer:
                statuses.append(answer.status)

    assert statuses == [200, 404, 200, 429]


@asynccontextmanager
async def half_sent(shop: Installation, count: int, framing: str) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Hold requests of one visitor whose bodies are not sent."""
    streams = [await asyncio.open_connection(shop.proxy.public.host, shop.proxy.public.port) for _ in range(count)]
    for _, writer in streams:
        writer.write(f"{HEAD}X-Forwarded-For: 93.184.216.34\r\n{framing}\r\n\r\n".encode())
    try:
        yield [reader for reader, _ in streams]
    finally:
        for _, writer in streams:
            writer.close()


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
async def test_bodies_under_way_are_bounded_and_shared(
    tmp_path: Path, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unfinished bodies of one visitor take at most half of the room, whatever their framing; others are accepted."""
    monkeypatch.setattr(admission, "MOST_BYTES", 10 * 65_536)
    async with shop_with(tmp_path) as shop, half_sent(shop, 12, framing) as readers:

        async def over() -> bool:
            return (await limited(shop)).get("share", 0) == 7

        await until(over, what="seven refused bodies")
        tasks = [asyncio.create_task(reader.readline()) for reader in readers]
        while len(answered := [task for task in tasks if task.done()]) < 7:
            await asyncio.wait(set(tasks) - set(answered), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        neighbour = await shop.post(page_views(["small"]), X_Forwarded_For=OTHER)
        silent = [task for task in tasks if task.cancel()]

    assert [task.result().split()[1] for task in answered] == [b"429"] * 7
    assert len(silent) == 5
    assert neighbour[0] == 204


async def test_beyond_the_bound_everybody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If even a client's first request finds no room, the answer is 503 with Retry-After and CORS."""
    monkeypatch.setattr(admission, "MOST_BYTES", 10)
    async with shop_with(tmp_path) as shop:
        status, headers, _ = await shop.post(page_views(["none"]))

    assert (status, headers["Retry-After"], headers["Access-Control-Allow-Origin"]) == (503, "5", ORIGIN)


async def test_a_queue_that_fills_is_shared(tmp_path: Path) -> None:
    """While nothing is delivered one client cannot fill the queue: it is refused at its limit, others are accepted."""
    # At one event a second its limit does not grow, however slow the machine is.
    more = {"queue": {"max_events": 1000}, "limits": {"requests_per_second": 1, "burst": 400}}
    async with installation(tmp_path, more=more) as shop:
        await shop.fault(mode="500", **{"for": 600})
        taken = 0
        for number in range(40):
            events = [{"name": "PageView", "id": f"q{number}-{step}"} for step in range(50)]
            taken += 50 * ((await shop.post(wire(*events)))[0] == 204)
        neighbour = await shop.post(page_views(["other"]), X_Forwarded_For=OTHER)
        async with shop.session.get(f"{shop.public}/healthz") as answer:
            health = answer.status

    assert 400 <= taken < 1000
    assert (neighbour[0], health) == (204, 200)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "/shop-tools/e", {}, 405),
        ("POST", "/shop-tools/e", {"Content-Encoding": "gzip"}, 415),
        ("POST", "/shop-tools/e", {}, 400),
        ("DELETE", "/shop-tools/c", {}, 405),
    ],
)
async def test_every_answer_can_be_read_by_a_page_of_the_site(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """A page of the site may read every answer and its Retry-After, whatever went wrong; other pages may not."""
    async with shop_with(tmp_path) as shop:
        for origin, expected in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
            async with shop.session.request(
                method, shop.public + path, data=b"{", headers={**headers, "Origin": origin}
            ) as answer:
                assert answer.headers.get("Access-Control-Allow-Origin") == expected
                assert (answer.headers.get("Access-Control-Expose-Headers") == "Retry-After") is (expected is not None)
                if expected:
                    assert answer.status == status


async def test_a_large_request_waits_for_a_turn_before_each_of_its_parts() -> None:
    """A large request yields before each of its parts, so another client's request waits for one part at most."""
    circle, order = Turns(), list[str]()

    def parts() -> Parts[Decision]:
        for number in range(5):
            order.append(f"part {number}")
            yield
        return Decision(taken=5)

    async def large() -> Decision:
        await circle.wait_for_turn("a")
        work = parts()
        while (result := next_part(work)) is None:
            await circle.wait_for_turn("a")
        return result

    async def small() -> None:
        await circle.wait_for_turn("b")
        order.append("b")

    result, _ = await asyncio.gather(large(), small())

    assert result.taken == 5
    assert order.index("b") <= 2
    assert [entry for entry in order if entry != "b"] == [f"part {number}" for number in range(5)]


async def test_clients_take_turns() -> None:
    """With sixty requests of one client waiting, another client's is handled in the next round; order is kept."""
    circle, order = Turns(), list[str]()

    async def request(who: str, number: int) -> None:
        await circle.wait_for_turn(who)
        order.append(f"{who}{number}")

    tasks = [asyncio.create_task(request("a", number)) for number in range(60)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(request("b", number)) for number in range(2)]
    await asyncio.gather(*tasks)

    assert order.index("b0") <= 3
    assert order.index("b1") <= 5
    assert [entry for entry in order if entry[0] == "a"] == [f"a{number}" for number in range(60)]


async def test_each_round_gives_way_to_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two requests of a client the event loop lets the writer thread have the interpreter."""
    circle, order = Turns(), list[str]()
    monkeypatch.setattr("os.sched_yield", lambda: order.append("yielded"))

    async def request() -> None:
        await circle.wait_for_turn("a")
        order.append("worked")

    await asyncio.gather(*(request() for _ in range(5)))

    assert "".join(entry[0] for entry in order if entry).strip("y").replace("yy", "y") == "wywywywyw"


async def test_a_round_serves_a_few_clients_once_each() -> None:
    """A hundred clients that come at once are let in by rounds of a few, and a newcomer does not overtake them."""
    circle, order = Turns(), list[int]()

    async def request(who: int) -> None:
        await circle.wait_for_turn(who)
        order.append(who)

    tasks = [asyncio.create_task(request(who)) for who in range(100)]
    await asyncio.sleep(0)
    assert order == list(range(turns.CLIENTS))
    tasks.append(asyncio.create_task(request(100)))
    await asyncio.gather(*tasks)

    assert order == list(range(101))
