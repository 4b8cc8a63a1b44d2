"""What forwarding headers cannot change: the tag that a cache stores, and which pages may send to an https site."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from servers import simulator
from support import ORIGIN, Installation, installation, page_views, raw_config

from proxy.app import run_proxy
from proxy.config import load

pytestmark = pytest.mark.usefixtures("front")


@pytest.fixture(name="twins", scope="module")
async def _twins(
    tmp_path_factory: pytest.TempPathFactory,
    front: str,  # noqa: ARG001 - each front has its own
) -> AsyncIterator[Installation]:
    """Two sites with the same prefix, distinguished by host; the second one ignores GPC."""
    directory = tmp_path_factory.mktemp("twins")
    async with simulator() as graph, aiohttp.ClientSession() as session:
        raw = raw_config(graph, directory / "data")
        raw["site"].append({**raw["site"][0], "name": "other", "domains": ["other.example"], "gpc": "ignore"})
        async with run_proxy(load.parse(raw, {}, base=directory)) as proxy:
            yield Installation(session, graph, proxy)


async def tag(shop: Installation, host: str, forwarded: str) -> bytes:
    headers = {"Host": host, "Accept-Encoding": "identity", "X-Forwarded-Host": forwarded}
    async with shop.session.get(f"{shop.public}/shop-tools/m.js", headers=headers) as answer:
        return await answer.read()


async def test_a_forwarded_host_does_not_choose_the_tag(twins: Installation) -> None:
    """X-Forwarded-Host does not choose the tag, so a cache by Host cannot be made to store another site's tag."""
    script = await tag(twins, "t.shop.example", "t.other.example")

    assert b"order-shop-" in script
    assert script == await tag(twins, "t.shop.example", "t.shop.example")
    assert b"order-other-" in await tag(twins, "t.other.example", "t.shop.example")


async def test_a_forwarded_host_does_not_choose_what_gpc_says(twins: Installation) -> None:
    """X-Forwarded-Host does not choose the well-known resource either, since that is cached too."""
    statuses = []
    for host, forwarded in (("t.shop.example", "t.other.example"), ("t.other.example", "t.shop.example")):
        headers = {"Host": host, "X-Forwarded-Host": forwarded}
        async with twins.session.get(f"{twins.public}/.well-known/gpc.json", headers=headers) as answer:
            statuses.append(answer.status)

    assert statuses == [200, 404]


async def test_a_forwarded_host_still_finds_the_site_of_an_event(twins: Installation) -> None:
    """For events, which no cache stores, the forwarded host finds the site, also behind a proxy that rewrites Host."""
    status, _, _ = await twins.post(page_views(["xfh"]), Host="backend:8080", X_Forwarded_Host="t.shop.example")

    assert status == 204


@pytest.mark.parametrize(
    ("origin", "proto", "status"),
    [
        ("http://shop.example", "https", 403),
        ("http://www.shop.example:8080", "http, https", 403),
        ("http://shop.example", "http", 204),
        ("http://shop.example", "", 204),
        (ORIGIN, "https", 204),
        (ORIGIN, "http", 204),
        ("http://localhost:3000", "https", 204),
    ],
)
async def test_a_page_by_plain_http_does_not_speak_for_an_https_site(
    tmp_path: Path, origin: str, proto: str, status: int
) -> None:
    """To an https address only https pages, and pages of this machine, may send; a site by http still works."""
    async with installation(tmp_path, domains=["shop.example", "localhost"]) as shop:
        headers = {"X_Forwarded_Proto": proto} if proto else {}
        found, answer, _ = await shop.post(page_views(["scheme"]), Origin=origin, **headers)

    assert found == status
    assert ("Access-Control-Allow-Origin" in answer) is (status == 204)
