"""The simulator's own addresses: events, report, reset, and those for the Pixel."""

import pytest
from aiohttp import FormData
from pytest_aiohttp.plugin import AiohttpClient
from simulator_samples import EVENTS, NOW, USER, Client, Clock, copy, event, send, stored

from proxy.simulator.graph.app import make_app
from proxy.simulator.graph.memory import Memory

FIRE = {"id": "123", "ev": "Purchase", "eid": "order-1", "cd[value]": "9.5", "dl": "https://shop.example/?a=ä"}


@pytest.fixture(name="client")
async def _client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(make_app(now=Clock()))


async def test_the_shape_of_an_event(client: Client) -> None:
    """A server event is shown with its content and the time of its arrival."""
    await send(client, event())

    assert await stored(client) == [
        {
            "received_at": NOW * 1000,
            "source": "server",
            "pixel": "123",
            "name": "Purchase",
            "id": "order-1",
            "action_source": "website",
            "request": {},
            "event": event(),
        }
    ]


FIELDS = {
    "test_event_code": "TEST1",
    "partner_agent": "plants_1_2",
    "upload_tag": "tills",
    "upload_id": "u-1",
    "upload_source": "desk",
    "namespace_id": 7,
}


async def test_what_stands_beside_the_events(client: Client) -> None:
    """Test code, agent and upload fields are shown with each event of their request; nulls and other fields are not."""
    more = {"access_token": "token", "id": "123", "appsecret_proof": "x"}
    await client.post(EVENTS, json={"data": [event(event_id="1"), event(event_id="2")], **FIELDS, **more})
    await client.post(EVENTS, json={"data": [event()], **dict.fromkeys(FIELDS), **more})

    assert [found["request"] for found in await stored(client)] == [
        {},
        {**FIELDS, "namespace_id": "7"},
        {**FIELDS, "namespace_id": "7"},
    ]


async def test_both_shapes_of_an_event(client: Client) -> None:
    """An event is shown as it came and, on request, as it was read, so that copies sent in two ways can be compared."""
    sent = event(action_source="WEBSITE", event_id=7, user_data={"em": USER["em"][0], "ge": None})
    await send(client, sent)

    (found,) = (await (await client.get("/sim/events?read=1&action_source=website")).json())["events"]

    assert found["event"] == sent
    assert found["read"] == event(event_id="7", user_data={"em": USER["em"]})
    assert (found["id"], found["action_source"]) == ("7", "website")


@pytest.mark.parametrize("path", ["/tr", "/tr/"])
@pytest.mark.parametrize("how", ["address", "form", "beacon", "both"])
async def test_what_the_pixel_sends(client: Client, path: str, how: str) -> None:
    """The Pixel's image, form, beacon and fetch requests are recorded alike, and answered with an uncached image."""
    first, rest = dict(list(FIRE.items())[:2]), dict(list(FIRE.items())[2:])
    ways = {
        "address": lambda: client.get(path, params=FIRE),
        "form": lambda: client.post(path, data=FIRE),
        "beacon": lambda: client.post(path, data=FormData(FIRE, default_to_multipart=True)),
        "both": lambda: client.post(path, params=first, data=rest),
    }

    response = await ways[how]()

    assert (response.status, response.content_type, response.headers["Cache-Control"]) == (200, "image/gif", "no-store")
    assert (await response.read()).startswith(b"GIF89a")
    assert await stored(client) == [
        {
            "received_at": NOW * 1000,
            "source": "browser",
            "pixel": "123",
            "name": "Purchase",
            "id": "order-1",
            "action_source": None,
            "request": {},
            "event": FIRE,
        }
    ]


async def test_an_image_without_an_event(client: Client) -> None:
    """A request that names no pixel or no event is answered, and not recorded."""
    statuses = [(await client.get("/tr/", params=query)).status for query in ({}, {"id": "1"}, {"ev": "Lead"})]

    assert (statuses, await stored(client)) == ([200, 200, 200], [])


async def test_a_blank_id_is_none(client: Client) -> None:
    """An empty id, from the browser or the server, counts as no id."""
    await send(client, event(event_id=""))
    await client.get("/tr/", params={**FIRE, "eid": ""})

    assert [found["id"] for found in await stored(client)] == [None, None]


async def test_choosing_events(client: Client) -> None:
    """Events are listed newest first, and can be limited and filtered by side, pixel, name and id."""
    await send(client, event(event_id="1"), event(event_id="2"))
    await client.get("/tr/", params={"id": "9", "ev": "Lead"})

    async def chosen(query: str) -> list[str | None]:
        return [found["id"] for found in (await (await client.get(f"/sim/events?{query}")).json())["events"]]

    assert await chosen("") == [None, "2", "1"]
    assert await chosen("limit=2") == [None, "2"]
    assert await chosen("limit=0") == []
    assert await chosen("source=server&limit=1") == ["2"]
    assert await chosen("source=browser") == [None]
    assert await chosen("pixel=9") == [None]
    assert await chosen("name=Purchase&id=1") == ["1"]


@pytest.mark.parametrize(
    ("field", "value"), [("source", "pixel"), ("read", "yes"), ("limit", "-1"), ("limit", "x"), ("limit", "9" * 10)]
)
async def test_a_wrong_choice(client: Client, field: str, value: str) -> None:
    """An invalid filter is answered with 400, which names field, value and what is accepted."""
    response = await client.get("/sim/events", params={field: value})
    (error,) = (await response.json())["errors"]

    assert (400, field, value) == (response.status, error["field"], error["value"])
    assert error["accepted"]


async def test_the_report(client: Client) -> None:
    """The report has both sides of each event, their differences, the match keys and the lint."""
    await client.get("/tr/", params={**FIRE, "cd[value]": "9.50", "cd[currency]": "USD"})
    await send(client, event(), event(event_id="2", user_data={"em": USER["em"], "fbp": "x"}))

    report = await (await client.get("/sim/report")).json()

    first = {
        "pixel": "123",
        "name": "Purchase",
        "counted": 1,
        "first_at": NOW * 1000,
        "event_time": NOW - 10,
        "unsure": False,
    }
    about = {"pixel": "123", "name": "Purchase", "id": "2"}
    assert report == {
        "counted_once": 2,
        "counted_twice": 0,
        "browser_only": 0,
        "recovered": 1,
        "forgotten": 0,
        "parity": {
            "compared": 1,
            "alike": 0,
            "differences": [
                {**about, "id": "order-1", "field": "currency", "browser": "USD", "server": "EUR"},
            ],
        },
        "pairs": [
            {**first, "id": "2", "browser": 0, "server": 1, "verdict": "recovered", "by": None},
            {**first, "id": "order-1", "browser": 1, "server": 1, "verdict": "pair", "by": "id"},
        ],
        "match_keys": {"em": 2, "client_ip_address": 1, "client_user_agent": 1, "fbp": 1},
        "lint": [
            {**about, "problem": "missing", "field": "user_data.client_user_agent"},
            {**about, "problem": "bad_format", "field": "user_data.fbp"},
        ],
    }


async def test_what_is_counted_twice_and_what_never_left_the_browser(client: Client) -> None:
    """Two browser copies count twice, and a browser event has no time of its own."""
    for identity in ("1", "1", "2"):
        await client.get("/tr/", params={**FIRE, "eid": identity})

    report = await (await client.get("/sim/report")).json()

    assert (report["counted_once"], report["counted_twice"], report["browser_only"]) == (1, 1, 1)
    assert [(pair["id"], pair["verdict"], pair["event_time"]) for pair in report["pairs"]] == [
        ("2", "browser_only", None),
        ("1", "twice", None),
    ]


async def test_what_is_missing(client: Client) -> None:
    """Expected events without a server copy are listed; a browser copy does not count."""
    await send(client, event(event_id="a:1"))
    await client.get("/tr/", params=FIRE)

    report = await (await client.get("/sim/report?expect=Purchase:a:1&expect=Purchase:order-1")).json()

    assert report["missing"] == [{"name": "Purchase", "id": "order-1"}]


async def test_reset(client: Client) -> None:
    """A reset forgets events and ends faults."""
    await send(client, event())
    await client.post("/sim/faults", json={"mode": "500"})

    response = await client.post("/sim/reset")

    assert (response.status, await stored(client)) == (200, [])
    assert (await send(client, event()))[0] == 200


async def test_the_list_of_addresses(client: Client) -> None:
    """The front page names every address of the simulator."""
    text = await (await client.get("/")).text()

    assert [path for path in ("/events", "/tr/", "/sim/report", "/sim/faults", "/sim/reset") if path not in text] == []


def test_memory_is_bounded() -> None:
    """Above its size the memory forgets the oldest copies, and counts them."""
    memory = Memory(keep=2)

    memory.add(copy("server", seconds, str(seconds)) for seconds in range(3))

    assert [found.id for found in memory.newest()] == ["2", "1"]
    assert (memory.report()["recovered"], memory.report()["forgotten"]) == (2, 1)
