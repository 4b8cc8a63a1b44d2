"""The simulator's events edge over real sockets, as clients and SDKs use it."""

import gzip
from typing import Any

import orjson
import pytest
from aiohttp import FormData
from pytest_aiohttp.plugin import AiohttpClient
from simulator_samples import EVENTS, NOW, Client, Clock, event, send, stored

from proxy.simulator.graph.app import make_app

PROOF = "059a4ea9403818b051f7309a311095ac009e10fdbaeafbc3ea4d066fab212e18"
"""HMAC-SHA256 of "token" under "app_secret", computed with another program."""
TOKENS = {"123": "token", "456": "neighbour"}


@pytest.fixture(name="client")
async def _client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(make_app(now=Clock()))


@pytest.fixture(name="guarded")
async def _guarded(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(make_app(now=Clock(), tokens=TOKENS, app_secrets={"123": "app_secret"}))


async def test_success_in_graph_shape(client: Client) -> None:
    """Accepted events are counted, with an empty list of messages, a trace id and the usage header."""
    response = await client.post(EVENTS, json={"data": [event(), event()], "access_token": "token"})
    answer = await response.json()

    assert response.status == 200
    assert answer.pop("fbtrace_id")
    assert answer == {"events_received": 2, "messages": []}
    assert orjson.loads(response.headers["X-App-Usage"]).keys() == {"call_count", "total_time", "total_cputime"}


async def test_error_in_graph_shape(client: Client) -> None:
    """A refusal carries every field of Graph's error object."""
    status, answer = await send(client, event(event_time=NOW - 8 * 86_400))
    error = answer["error"]

    assert status == 400
    assert error.pop("fbtrace_id")
    assert error == {
        "message": "Invalid parameter",
        "type": "OAuthException",
        "code": 100,
        "error_subcode": 2804003,
        "is_transient": False,
        "error_user_title": "Event Timestamp Too Old",
        "error_user_msg": "event_time lies more than 7 days back.",
        "error_data": {"blame_field_specs": [["event_time"]]},
    }


async def test_a_bad_event_takes_its_neighbours_down(client: Client) -> None:
    """One bad event among good ones refuses the batch, and nothing of it is stored."""
    status, _ = await send(client, event(), event(custom_data={}), event())

    assert status == 400
    assert await stored(client) == []


def _python_sdk(data: list[dict[str, Any]]) -> dict[str, Any]:
    texts = [orjson.dumps(event).decode() for event in data]
    return {"data": {"access_token": "token", "data": orjson.dumps(texts).decode(), "test_event_code": "TEST1"}}


def _node_sdk(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"json": {"access_token": "token", "appsecret_proof": "0" * 64, "data": data, "partner_agent": "x"}}


def _curl(data: list[dict[str, Any]]) -> dict[str, Any]:
    form = FormData(default_to_multipart=True)
    form.add_field("data", orjson.dumps(data).decode())
    form.add_field("access_token", "token")
    return {"data": form}


def _address(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"params": {"access_token": "token", "data": orjson.dumps(data).decode()}}


def _bearer(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"json": {"data": data}, "headers": {"Authorization": "Bearer token"}}


@pytest.mark.parametrize("request_of", [_python_sdk, _node_sdk, _curl, _address, _bearer])
async def test_clients_in_use(client: Client, request_of: Any) -> None:
    """Requests shaped like those of Meta's SDKs and of its curl sample deliver their events unchanged."""
    sent = [event(event_id="ä/1"), event(event_id="2")]

    response = await client.post(EVENTS, **request_of(sent))

    assert response.status == 200
    assert [sent[1], sent[0]] == [copy["event"] for copy in await stored(client)]


REFUSALS = [
    ("no token", "123", {}, (400, 104, None, "OAuthException")),
    ("wrong token", "123", {"access_token": "nonsense"}, (401, 190, None, "OAuthException")),
    ("token of a neighbour", "123", {"access_token": "neighbour"}, (400, 100, 33, "GraphMethodException")),
    ("unknown pixel", "789", {"access_token": "token"}, (400, 100, 33, "GraphMethodException")),
    ("a pixel of letters", "shop", {"access_token": "token"}, (400, 100, 33, "GraphMethodException")),
    ("wrong proof", "123", {"access_token": "token", "appsecret_proof": "0"}, (400, 100, None, "GraphMethodException")),
]  # fmt: skip


@pytest.mark.parametrize(("pixel", "parameters", "expected"), [pytest.param(*row[1:], id=row[0]) for row in REFUSALS])
async def test_strangers(guarded: Client, pixel: str, parameters: dict[str, str], expected: tuple[Any, ...]) -> None:
    """A sender without the right token gets Graph's own error, and nothing is stored."""
    response = await guarded.post(f"/v26.0/{pixel}/events", json={"data": [event()], **parameters})
    error = (await response.json())["error"]

    assert expected == (response.status, error["code"], error.get("error_subcode"), error["type"])
    assert ("is_transient" in error) is (error["code"] not in (104, 190))
    assert await stored(guarded) == []


ADDRESSES = [
    "/v26.0/123/events",
    "/v26/123/events",
    "/v13.0/123/events/",
    "//v26.0/123/events",
    "/v26.0//123//events//",
    "/123/events",
    "//123/events/",
]


@pytest.mark.parametrize("path", ADDRESSES)
async def test_addresses_in_use(client: Client, path: str) -> None:
    """Doubled and trailing slashes, a version without its minor part, and no version all reach the events edge."""
    # The test client takes the beginning of an address with two leading slashes for a host.
    url = f"http://{client.server.host}:{client.server.port}{path}"
    response = await client.session.post(url, json={"data": [event()], "access_token": "token"})

    assert response.status == 200
    assert [copy["pixel"] for copy in await stored(client)] == ["123"]


@pytest.mark.parametrize("extra", [{}, {"appsecret_proof": PROOF}])
async def test_admitted(guarded: Client, extra: dict[str, str]) -> None:
    """The pixel's own token is enough, and a correct proof is accepted."""
    response = await guarded.post(EVENTS, json={"data": [event()], "access_token": "token", **extra})

    assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", EVENTS, 400, (100, 33)),
        ("POST", "/v26.0/123/nowhere", 400, (2500, None)),
        ("POST", "/latest/123/events", 400, (2500, None)),
        ("POST", "/v26.0", 400, (100, None)),
        ("POST", "/v26.0/app/instruments", 400, (2500, None)),
        ("GET", "/v26.0/debug_token", 400, (104, None)),
        ("GET", "/v26.0/debug_token?access_token=a", 400, (100, None)),
        ("POST", "/v26.0/debug_token", 400, (100, 33)),
    ],
)
async def test_wrong_addresses(client: Client, method: str, path: str, status: int, code: tuple[int, int]) -> None:
    """An address other than the events edge is answered with a Graph error too."""
    response = await client.request(method, path)
    error = (await response.json())["error"]

    assert (status, code) == (response.status, (error["code"], error.get("error_subcode")))


async def test_a_body_beyond_the_limit(client: Client) -> None:
    """A body that unpacks to more than 16 MiB is answered with 413 in Graph's form."""
    packed = gzip.compress(b"x" * (16 * 1024 * 1024 + 1))

    response = await client.post(EVENTS, data=packed, headers={"Content-Encoding": "gzip"})

    assert response.status == 413
    assert (await response.json())["error"]["code"] == 100


async def test_a_body_that_does_not_unpack(client: Client) -> None:
    """A body that is not in its declared compression is answered with 400."""
    response = await client.post(EVENTS, data=b"no gzip", headers={"Content-Encoding": "gzip"})

    assert response.status == 400


@pytest.mark.parametrize("path", [EVENTS, "/sim/events", "/tr/", "/nowhere"])
async def test_open_to_every_origin(client: Client, path: str) -> None:
    """Any page may read preflights and answers of all addresses, including errors."""
    preflight = await client.options(path)
    answer = await client.get(path)

    assert preflight.status == 204
    assert [preflight.headers["Access-Control-Allow-Origin"], answer.headers["Access-Control-Allow-Origin"]] == [
        "*",
        "*",
    ]
