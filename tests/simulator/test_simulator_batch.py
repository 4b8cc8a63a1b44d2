"""The simulator's batch endpoint, as the SDKs of Python and Node call it."""

from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from pytest_aiohttp.plugin import AiohttpClient
from simulator_samples import NOW, Client, Clock, event, stored

from proxy.simulator.graph.app import make_app
from proxy.simulator.graph.edge import appsecret_proof

TOKENS = {"123": "token", "456": "neighbour"}


@pytest.fixture(name="client")
async def _client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(make_app(now=Clock(), tokens=TOKENS, app_secrets={"123": "app_secret"}))


def _data(*events: dict[str, Any]) -> str:
    return orjson.dumps(events).decode()


def _call(body: str, url: str = "123/events", **more: str) -> dict[str, str]:
    return {"method": "POST", "relative_url": url, "body": body, **more}


def _encoded(*events: dict[str, Any], **more: str) -> str:
    return urlencode({"data": _data(*events), **more})


async def _send(client: Client, *calls: Any) -> list[tuple[int, dict[str, Any]]]:
    response = await client.post(
        "/v26.0/", params={"access_token": "token"}, data={"batch": orjson.dumps(calls).decode()}
    )
    assert response.status == 200
    return [(answer["code"], orjson.loads(answer["body"])) for answer in await response.json()]


@pytest.mark.parametrize("url", ["123/events", "/v26.0/123/events", "v26.0/123/events/"])
async def test_calls_as_python_writes_them(client: Client, url: str) -> None:
    """Each call's body is a form of its own, and each call has its answer at the same place."""
    answers = await _send(client, _call(_encoded(event(event_id="1")), url), _call(_encoded(event(event_id="2")), url))

    assert [(status, answer["events_received"]) for status, answer in answers] == [(200, 1), (200, 1)]
    assert [copy["id"] for copy in await stored(client)] == ["2", "1"]


async def test_calls_as_node_writes_them(client: Client) -> None:
    """A JSON body may contain calls whose bodies are not encoded, at an address without a trailing slash."""
    response = await client.post("/v24.0?access_token=token", json={"batch": [_call(f"data={_data(event())}")]})
    (answer,) = await response.json()

    assert (answer["code"], answer["headers"]) == (200, [{"name": "Content-Type", "value": "application/json"}])
    assert [copy["event"] for copy in await stored(client)] == [event()]


async def test_a_bad_call_leaves_its_neighbours_alone(client: Client) -> None:
    """A call with an old event, one for another edge and a value that is no call each fail alone."""
    old, good = _call(_encoded(event(event_time=NOW - 8 * 86_400))), _call(_encoded(event()))

    answers = await _send(
        client, old, _call("", "123/nowhere"), {"method": "GET", "relative_url": "123/events"}, 7, good
    )

    assert [status for status, _ in answers] == [400, 400, 400, 400, 200]
    assert [answer["error"].get("error_subcode") for _, answer in answers[:4]] == [2804003, 33, 33, 33]
    assert len(await stored(client)) == 1


async def test_whose_token_counts(client: Client) -> None:
    """A call's own token is used rather than the batch's, and a pixel accepts only its own."""
    mine = _call(_encoded(event(), access_token="neighbour"), "456/events")
    in_address = _call(_encoded(event()), "456/events?access_token=neighbour")
    foreign = _call(_encoded(event()), "456/events")

    assert [status for status, _ in await _send(client, mine, in_address, foreign)] == [200, 200, 400]


@pytest.mark.parametrize(("proof", "status"), [(appsecret_proof("app_secret", "token"), 200), ("0" * 64, 400)])
async def test_the_proof_of_the_batch_is_verified(client: Client, proof: str, status: int) -> None:
    """An appsecret_proof given for the batch is verified for each call."""
    response = await client.post(
        "/v26.0", json={"access_token": "token", "appsecret_proof": proof, "batch": [_call(_encoded(event()))]}
    )

    assert [answer["code"] for answer in await response.json()] == [status]


async def test_calls_without_any_token(client: Client) -> None:
    """Without any token each call gets that error."""
    response = await client.post("/v26.0", json={"batch": [_call(_encoded(event()))]})
    (answer,) = await response.json()

    assert (answer["code"], orjson.loads(answer["body"])["error"]["code"]) == (400, 104)


@pytest.mark.parametrize("batch", ["", "{", "{}", "[]", "[" + ",".join(["1"] * 51) + "]"])
async def test_what_is_no_batch(client: Client, batch: str) -> None:
    """A batch that is no list of 1 to 50 calls is refused as a whole."""
    response = await client.post(
        "/v26.0", data=f"batch={quote(batch)}", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert response.status == 400
    assert (await response.json())["error"]["code"] == 100
