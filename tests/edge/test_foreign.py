"""A wrong ``domains`` or Host as the owner sees it: counted, reported once with the name, and never a flood."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from servers import simulator
from support import Installation, get_json, installation, page_views, raw_config

from proxy.app import run_proxy
from proxy.config import load
from proxy.config.schema import Pixel, Site
from proxy.edge.foreign import ForeignNames
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.loop_counter import LoopCounters
from proxy.telemetry.tallies import TallyCounters

SHOP = Site(name="shop", domains=("shop.example",), pixel=(Pixel.model_construct(id="1", access_token=SecretStr("")),))
pytestmark = pytest.mark.usefixtures("front")


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path) as shop:
        yield shop


async def reported(shop: Installation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get_json(shop.session, f"{shop.operator}/readyz"))["conditions"]
    return found


async def test_a_page_of_a_missing_domain_is_named(shop: Installation, caplog: pytest.LogCaptureFixture) -> None:
    """After a few refusals readiness is degraded by a condition with origin and setting; the log has one line."""
    for _ in range(5):
        assert (await shop.post(page_views(["f1"]), Origin="https://www.shop.test"))[0] == 403
    (condition,) = await reported(shop)
    async with shop.session.get(f"{shop.operator}/metrics") as answer:
        metrics = await answer.text()

    assert (condition["code"], condition["subject"]) == ("foreign_origin", "www.shop.test")
    assert "site.domains" in condition["detail"]
    assert condition["detail"].startswith("5 requests")
    assert condition["detail"].endswith('domains = ["shop.example", "www.shop.test"]')
    assert not condition["failing"]
    assert 'capi_proxy_requests_total{endpoint="collect",status="403"} 5.0' in metrics
    assert sum("www.shop.test" in record.message for record in caplog.records) == 1


async def test_a_single_stranger_is_no_condition(shop: Installation) -> None:
    """One request from another site causes no condition, as it says nothing about the configuration."""
    await shop.post(page_views(["f2"]), Origin="https://evil.example")

    assert await reported(shop) == []


async def test_a_host_that_no_site_lists_is_named(tmp_path: Path) -> None:
    """With two sites of one prefix, requests under an unlisted name are 404 and counted, and the name is reported."""
    async with simulator() as graph:
        raw = raw_config(graph, tmp_path / "data")
        raw["site"].append({**raw["site"][0], "name": "other", "domains": ["other.example"]})
        async with run_proxy(load.parse(raw, {}, base=tmp_path)) as proxy, aiohttp.ClientSession() as session:
            shop = Installation(session, graph, proxy)
            for _ in range(3):
                assert (await shop.post(page_views(["h1"]), Host="backend:8080"))[0] == 404
            (condition,) = await reported(shop)
            async with session.get(f"{shop.operator}/metrics") as answer:
                metrics = await answer.text()

    assert (condition["code"], condition["subject"]) == ("unknown_host", "backend")
    assert "Host header" in condition["detail"]
    assert 'capi_proxy_requests_total{endpoint="none",status="404"} 3.0' in metrics


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://93.184.216.34",
        "https://[2606:2800:220:1::34]",
        "https://a@b.example/mail@c.example",
        "https://x\x1b[2J.example",
        "https://" + "a" * 300 + ".example",
        "",
    ],
)
def test_only_plain_names_are_told(origin: str) -> None:
    """No address, control character or long text of a stranger gets into a condition or the log."""
    conditions = Conditions(lambda: 0)
    foreign = ForeignNames(conditions, lambda: 0, TallyCounters(LoopCounters()))
    for _ in range(10):
        foreign.note_origin(origin, SHOP)

    assert [condition.subject for condition in conditions.current()] in ([], ["b.example"])


def test_a_crowd_of_origins_is_told_slowly(caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand made-up origins cause at most a line in ten seconds and twenty conditions, and a bounded table."""
    caplog.set_level(logging.INFO)
    clock = [0]
    conditions = Conditions(lambda: clock[0])
    foreign = ForeignNames(conditions, lambda: clock[0], TallyCounters(LoopCounters()))
    for number in range(10_000):
        clock[0] += 100
        for _ in range(3):
            foreign.note_origin(f"https://host{number}.example", SHOP)
            foreign.note_host(f"host{number}.example")

    assert len(caplog.records) <= 10_000 * 100 / 10_000 + 1
    assert len(conditions.current()) <= 40
    assert len(foreign._times) <= 256


def test_a_name_is_forgotten_after_an_hour() -> None:
    """Such a condition ends an hour after the last request."""
    clock = [0]
    conditions = Conditions(lambda: clock[0])
    foreign = ForeignNames(conditions, lambda: clock[0], TallyCounters(LoopCounters()))
    for _ in range(3):
        foreign.note_origin("https://www.shop.test", SHOP)
    before = len(conditions.current())
    clock[0] = 60 * 60_000

    assert (before, conditions.current()) == (1, [])
