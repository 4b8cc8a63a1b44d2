"""The request fields that Graph gets: whose values are used, and that no event is sent with another's."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from lane_rig import NOW, delivering, emptied, opened
from pydantic import SecretStr
from servers import stand_in
from support import PIXEL, record, server_record

from proxy import __version__
from proxy.config.schema import GraphSettings, Pixel
from proxy.delivery import pace
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.refused_networks import RefusedNetworks
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.queue.contract import Filter
from proxy.telemetry.conditions import Conditions

OURS = f"capi-proxy-{__version__}"
ALL = RequestFields("TEST1", "shop-7", "spring", "up-1", "till", "name-1")


class Graph:
    """A Graph that records bodies, refuses batches with a bad event, and fails the first few requests."""

    def __init__(self, *, bad: Sequence[str] = (), failures: int = 0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._bad = set(bad)
        self._failures = failures

    async def answer(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.bodies.append(body)
        if len(self.bodies) <= self._failures:
            return web.json_response({"error": {"code": 2, "message": "down"}}, status=500)
        if self._bad & {event["event_id"] for event in body["data"]}:
            return web.json_response({"error": {"code": 100, "error_subcode": 2804017}}, status=400)
        return web.json_response({"events_received": len(body["data"]), "fbtrace_id": "A1"})

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{version}/{pixel}/events", self.answer)
        return app

    def beside(self) -> list[dict[str, Any]]:
        """Return the members besides the events of each body, without the token."""
        return [
            {key: value for key, value in body.items() if key not in {"data", "access_token"}} for body in self.bodies
        ]


def pixel(test_event_code: str = "", until_day: date | None = None) -> Pixel:
    return Pixel.model_construct(
        id=PIXEL,
        access_token=SecretStr("t"),
        app_secret=SecretStr(""),
        test_event_code=test_event_code,
        test_event_until=until_day,
    )


RULES: list[tuple[Record, Pixel, dict[str, str]]] = [
    (record(1), pixel(), {"partner_agent": OURS}),
    (record(1), pixel("TEST9"), {"partner_agent": OURS, "test_event_code": "TEST9"}),
    (record(1), pixel("TEST9", date(2020, 1, 1)), {"partner_agent": OURS}),
    (server_record(1), pixel("TEST9"), {"partner_agent": OURS, "test_event_code": "TEST9"}),
    (server_record(1, ALL), pixel("TEST9"), ALL._asdict()),
    (server_record(1, ALL), pixel("TEST9", date(2020, 1, 1)), ALL._asdict()),
    (
        server_record(1, RequestFields(upload_tag="spring")),
        pixel("TEST9"),
        {"partner_agent": OURS, "test_event_code": "TEST9", "upload_tag": "spring"},
    ),
    (server_record(1, RequestFields(partner_agent="shop-7")), pixel(), {"partner_agent": "shop-7"}),
]


@pytest.mark.parametrize(("sent", "to", "expected"), RULES)
async def test_the_senders_own_word_counts(sent: Record, to: Pixel, expected: dict[str, str]) -> None:
    """The sender's test code and partner agent are used for its events; without them ours are."""
    graph = Graph()
    async with stand_in(graph.app()) as address, graph_session(5.0) as session:
        client = GraphClient(session, GraphSettings(url=address), lambda: NOW, Conditions(lambda: NOW))
        await client.send(to, [sent])

    assert graph.beside() == [expected]


@pytest.fixture(name="quick", autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROBE_S", "FIRST_S", "GATHER_S"):
        monkeypatch.setattr(pace, name, 0.01)


async def test_no_event_rides_with_other_fields(tmp_path: Path) -> None:
    """Through failures and the search for bad events, no event is sent with another event's test code or fields."""
    test, tagged = RequestFields(test_event_code="TEST1"), RequestFields(upload_tag="spring", partner_agent="till-2")
    records = [
        one
        for number in range(0, 90, 3)
        for one in (
            record(number),
            server_record(number + 1, test),
            server_record(number + 2, tagged, "physical_store"),
        )
    ]
    graph = Graph(bad=["id-4", "id-6", "id-8"], failures=2)
    fields_of = {one.id: one.fields for one in records}
    async with stand_in(graph.app()) as address, graph_session(5.0) as session, opened(tmp_path) as queue:
        client = GraphClient(session, GraphSettings(url=address), lambda: NOW, Conditions(lambda: NOW))
        for one in records:
            await queue.append([one])
        async with delivering(queue, _For(client)):
            await emptied(queue)
        letters = await queue.dead_letters(Filter())
        rows = [row async for row in queue.events(Filter(limit=1000))]
        await queue.replay([letter.id for letter in letters], not_before_s=0)
        before = len(graph.bodies)
        async with delivering(queue, _For(client)):
            await emptied(queue)

    assert {letter.event_id for letter in letters} == {"id-4", "id-6", "id-8"}
    assert len(graph.bodies) > before
    for body in graph.bodies:
        (fields,) = {fields_of[event["event_id"]] for event in body["data"]}
        assert body.get("test_event_code", "") == fields.test_event_code
        assert body.get("upload_tag", "") == fields.upload_tag
        assert body["partner_agent"] == (fields.partner_agent or OURS)
    assert {(row.action_source, row.browser_copy is None) for row in rows} == {
        ("website", False),
        ("website", True),
        ("physical_store", True),
    }


class _For:
    """A client that sends for the pixel of this test."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client

    async def send(self, _pixel: Pixel, records: Sequence[Record]) -> Any:
        return await self._client.send(pixel(), records)


DAY_S = 24 * 60 * 60


async def test_a_till_sale_of_two_months_is_sent(tmp_path: Path) -> None:
    """A till's events are sent up to an age of 62 days, all others up to seven; older ones are dead letters."""
    now_s = NOW // 1000
    ages = {"website": (6, 8), "app": (6, 8), "physical_store": (61, 63)}
    records = [
        server_record(days, NO_FIELDS, source, time_s=now_s - days * DAY_S)._replace(id=f"{source}-{days}")
        for source, both in ages.items()
        for days in both
    ]
    graph = Graph()
    async with stand_in(graph.app()) as address, graph_session(5.0) as session, opened(tmp_path) as queue:
        client = GraphClient(session, GraphSettings(url=address), lambda: NOW, Conditions(lambda: NOW))
        await queue.append(records)
        async with delivering(queue, _For(client)):
            await emptied(queue)
        rows = [row async for row in queue.events(Filter())]

    assert {row.id: row.status for row in rows} == {
        f"{source}-{days}": status
        for source, both in ages.items()
        for days, status in zip(both, ("delivered", "dead"), strict=True)
    }
    assert len(graph.bodies) >= 1


def test_servers_without_addresses_are_no_network() -> None:
    """Servers' events have no address, so one bad event among them does not delay all others."""
    networks = RefusedNetworks()
    networks.add(server_record(1))
    batch = [server_record(number) for number in range(8)]

    assert [bound for _, bound in networks.bounds(batch)] == [4] * 8
    networks.add(record(1))
    assert [bound for _, bound in networks.bounds([record(2), *batch])] == [-1] + [8] * 8
