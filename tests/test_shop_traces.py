"""Webhooks of every kind, genuine, refused, failed and spoiled, leave no contact data behind."""

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import orjson
import pytest
from conftest import Say
from machine import Machine
from servers import simulator
from shop_traces import (
    ADDRESS,
    AGENT,
    EMAIL,
    FBC,
    FBP,
    FIRST,
    LAST,
    MATCH,
    NAMES,
    NOTE,
    PLANTED,
    SECRETS,
    headers,
    hook,
    spoiled,
)
from support import PIXEL, browser_headers, get_json, installation, until, wire
from traces import OPERATOR, Traces, fault, files, paused, said, sought, told_by_operator

CONFIG = "".join(f'[[site.webhook]]\nkind = "{kind}"\nsecret = "{secret}"\n' for kind, secret in SECRETS.items())
found_in = partial(sought, PLANTED)


class Shops:
    """Sends webhooks, and keeps the answers."""

    def __init__(self, session: aiohttp.ClientSession, machine: Machine) -> None:
        self._session, self._machine = session, machine
        self.answers: list[bytes] = []

    async def send(self, kind: str, body: object, topic: str, **more: str) -> int:
        """Send a hook, with a genuine signature unless ``secret`` is given; return the answer's status."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        address = f"{self._machine.public}/hooks/shop/{kind}"
        async with self._session.post(address, data=data, headers=headers(kind, data, topic, **more)) as answer:
            self.answers += [await answer.read(), str(answer.headers).encode()]
            return answer.status

    async def visit(self, name: str, identity: str, order: str) -> int:
        """Send a page's copy of an order of the same person; return the answer's status."""
        data = {"value": 29.35, "currency": "EUR", "order_id": order}
        body = wire({"name": name, "id": identity, "data": data}, match={PIXEL: MATCH}, fbp=FBP, fbc=FBC)
        more = browser_headers(X_Forwarded_For=ADDRESS, User_Agent=AGENT)
        async with self._session.post(f"{self._machine.public}/shop-tools/e", json=body, headers=more) as answer:
            self.answers.append(await answer.read())
            return answer.status

    async def unsigned(self, kind: str, body: object) -> int:
        """Send a hook without a signature; return the answer's status."""
        address = f"{self._machine.public}/hooks/shop/{kind}"
        async with self._session.post(address, json=body) as answer:
            self.answers.append(await answer.read())
            return answer.status


async def _sent(shops: Shops) -> None:
    """Send every hook unchanged, with a wrong and without a signature, as invalid JSON, and with each member spoiled.

    Pages send their copies of two of the orders before, and of another one after.
    """
    assert await shops.visit("Purchase", "order-shop-727", "727") == 204
    assert await shops.visit("InitiateCheckout", "checkout-1", "820982911946154508") == 204
    for name in NAMES:
        kind, topic, body = hook(name)
        assert await shops.send(kind, body, topic) == 200
        assert await shops.send(kind, body, topic, secret="wrong") == 401
        assert await shops.unsigned(kind, body) == 401
        data = orjson.dumps(body)
        for content in (data[:-2], data + EMAIL.encode(), orjson.dumps([body]), orjson.dumps(NOTE), EMAIL.encode()):
            assert await shops.send(kind, content, topic) == 400
        assert await shops.send(kind, body, f"{EMAIL} {FIRST}") == 200
        sent = [shops.send(kind, orjson.dumps(changed), topic) for changed in spoiled(body)]
        assert set(await asyncio.gather(*sent)) == {200}, name
    assert await shops.visit("Purchase", "order-shop-A-77", "A-77") == 204


async def _ended(session: aiohttp.ClientSession, machine: Machine, status: str) -> None:
    async def there() -> bool:
        return bool((await get_json(session, f"{machine.operator}/api/events?status={status}"))["events"])

    await until(there, what=f"an event {status}")


def _another_order(name: str, order: object) -> tuple[str, str, dict[str, object]]:
    kind, topic, body = hook(name)
    return kind, topic, body | {"id": order}


async def _lived(session: aiohttp.ClientSession, machine: Machine, graph: str, shops: Shops) -> None:
    """Produce an event of every outcome: delivered, dropped, duplicate, dead, and waiting for a refused token."""
    await _sent(shops)
    await machine.drained()
    await _ended(session, machine, "delivered")
    await _ended(session, machine, "dropped")
    await _ended(session, machine, "duplicate")
    await fault(session, graph, mode="poison", match="order-shop-666")
    kind, topic, body = _another_order("woocommerce_order", 666)
    assert await shops.send(kind, body, topic) == 200
    await _ended(session, machine, "dead")
    await fault(session, graph, mode="190")
    kind, topic, body = _another_order("woocommerce_order", 777)
    assert await shops.send(kind, body, topic) == 200
    await paused(session, machine)


async def _full(shops: Shops) -> None:
    """Send every hook while nothing can be stored; hooks that make no event are still answered with success."""
    statuses = set()
    for name in NAMES:
        kind, topic, body = hook(name)
        statuses.add(await shops.send(kind, body | {"id": 888}, topic))
    assert 503 in statuses


@pytest.fixture(name="traces", scope="module")
async def _traces(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traces]:
    directory = tmp_path_factory.mktemp("shop-traces")
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = Machine(directory, graph)
        text = machine.config.read_text() + CONFIG
        machine.config.write_text(text)
        shops = Shops(session, machine)
        await machine.start()
        await _lived(session, machine, graph, shops)
        async with session.get(f"{graph}/sim/events") as answer:
            at_graph = await answer.read()
        places = await told_by_operator(session, machine) | files(directory / "data", "at work")
        await machine.kill()
        places |= files(directory / "data", "after a crash")
        for words in (("events", "--json"), ("dead", "list", "--json"), ("check",)):
            places[" ".join(words)] = await said(machine, *words)
        machine.config.write_text(text + "[queue]\nmin_free_bytes = 1152921504606846976\n")
        await machine.start()
        await _full(shops)
        assert await machine.terminate() == 0
        places |= files(directory / "data", "at rest")
        yield Traces(places | {"answers": b"\n".join(shops.answers), "log": machine.log().encode()}, at_graph)


def test_nothing_of_a_webhook_is_left_behind(traces: Traces, say: Say) -> None:
    """No file, log line, metric, page, answer or command output contains any planted text."""
    size = sum(map(len, traces.places.values()))
    say(f"{len(PLANTED)} planted texts sought in {len(traces.places)} places, {size} bytes in all")

    assert {where: found for where, text in traces.places.items() if (found := found_in(text))} == {}


def test_no_shape_is_unforeseen(traces: Traces) -> None:
    """Reading a member of an unforeseen shape causes no fault."""
    assert b"# TYPE capi_proxy_faults_total" in traces.places["/metrics"]
    assert b"\ncapi_proxy_faults_total{" not in traces.places["/metrics"]


def test_the_webhooks_were_real(traces: Traces) -> None:
    """The contact data reached Graph, hashed, and there are events of every outcome."""
    expected = {"client address", "user agent", "fbp", "click id", f"hash of {EMAIL}", f"hash of {LAST.lower()}"}
    assert expected <= found_in(traces.at_graph)
    assert not {"street", "note", "card", "company", "mail address"} & found_in(traces.at_graph)
    for where, words in {
        "/api/events?limit=1000": (b'"delivered"', b'"dead"', b'"dropped"', b'"duplicate"'),
        "/api/dead?limit=1000": (b"order-shop-666",),
        "/api/status": (b'"waiting":1',),
        "/metrics": tuple(b'kind="%s",result="bad signature"' % kind.encode() for kind in SECRETS),
        "answers": (b'"received":true', b"Invalid signature", b"not a JSON object", b"Service temporarily unavailable"),
        "log": (b"paused",),
    }.items():
        assert [word for word in words if word not in traces.places[where]] == [], where


@pytest.mark.parametrize("name", NAMES)
def test_every_hook_brings_contact_data(name: str) -> None:
    """Each hook has a name, a street, a note and card data, so that a search without a result means something."""
    wanted = {"mail address", "phone number", "surname", "street", "note", "card", "client address"}

    assert wanted <= found_in(orjson.dumps(hook(name)[2]) + hook(name)[0].encode())


@pytest.mark.parametrize(
    "broken",
    [
        "proxy.rules.hooks.reading.events_of",
        "proxy.rules.hooks.reading.dropped_rows",
        "proxy.rules.hooks.shopify.order_custom_data",
        "proxy.rules.server_steps.person_of_server",
    ],
)
async def test_an_error_of_ours_quotes_nothing_of_a_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """An error of ours while a body is read is reported with its place, but with nothing of the body."""

    def fail(*arguments: object, **_more: object) -> object:
        raise ValueError(f"{EMAIL} {arguments}")

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(broken, fail)
    webhooks = [{"kind": kind, "secret": secret} for kind, secret in SECRETS.items()]
    async with installation(tmp_path, webhook=webhooks) as shop:
        kind, topic, body = hook("shopify_order_paid")
        data = orjson.dumps(body)
        more = headers(kind, data, topic)
        async with shop.session.post(f"{shop.public}/hooks/shop/{kind}", data=data, headers=more) as answer:
            places = {"answer": await answer.read()}
        for path in OPERATOR:
            async with shop.session.get(shop.operator + path) as answer:
                places[path] = await answer.read()
    places |= files(tmp_path / "data", "at rest") | {"log": caplog.text.encode()}

    assert b'capi_proxy_faults_total{place="ValueError in proxy.' in places["/metrics"]
    assert {where: found for where, text in places.items() if (found := found_in(text))} == {}
