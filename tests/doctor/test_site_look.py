"""The doctor's findings about all names of a site: its pages, its redirects, and where the page loads the tag from."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from certificates import make_certificate
from machine import SECRET
from name_server import Zone, name_server
from support import raw_config

from proxy.config import load
from proxy.doctor.web.look import SiteLook
from proxy.doctor.web.network_access import NetworkAccess
from proxy.doctor.web.visitor import visiting
from proxy.model.probe import ProbeKeys

HOST, WWW, OWN = "shop.example", "www.shop.example", "t.shop.example"
NEAR, FAR, NEAR6 = "A 93.184.216.34", "A 151.101.1.140", "AAAA 2606:2800:220:1::7"
Pages = Callable[[web.Request], Awaitable[web.Response]]


def pages(answers: dict[str, tuple[int, str]]) -> Pages:
    """Return a server by scheme and host: it serves a page or redirects; a path below an address is not found."""

    async def answer(request: web.Request) -> web.Response:
        status, text = answers.get(f"{request.scheme}://{request.host}", (404, ""))
        if status in {301, 302}:
            return web.Response(status=status, headers={"Location": text})
        return web.Response(status=status if request.path == "/" else 404, text=text, content_type="text/html")

    return answer


async def codes(directory: Path, zone: Zone, answers: dict[str, tuple[int, str]]) -> dict[str, str]:
    """Return the findings, as subjects by code."""
    make_certificate(directory, HOST, WWW, OWN)
    settings = load.parse(raw_config("http://127.0.0.1:9", directory, domains=[HOST]), {}, base=directory).settings
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pages(answers))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tls, plain = (("127.0.0.1", address[1]) for address in runner.addresses)
    ends = {(host, port): end for host in zone for port, end in ((443, tls), (80, plain))}
    try:
        async with name_server(zone) as server:
            ways = NetworkAccess(ends, server, str(directory / "certificate.pem"), 5.0)
            async with visiting(ways) as visitor:
                look = SiteLook(visitor, settings, settings.site[0], "/shop-tools", ProbeKeys(SECRET))
                return {finding.code: finding.subject async for finding in look.findings()}
    finally:
        await runner.cleanup()


ALONE: Zone = {HOST: [NEAR, NEAR6]}
REDIRECT = {"http://shop.example": (301, "https://shop.example/")}


async def test_a_page_over_plain_http_is_told(tmp_path: Path) -> None:
    """Pages over plain HTTP, whose events are refused, are found; a redirect to https is not."""
    serving = await codes(tmp_path, ALONE, {f"{scheme}://{HOST}": (200, "a shop") for scheme in ("http", "https")})
    redirecting = await codes(tmp_path, ALONE, REDIRECT | {f"https://{HOST}": (200, "a shop")})

    assert serving["plain_http_serves"] == "http://shop.example/"
    assert "plain_http_serves" not in redirecting


@pytest.mark.parametrize(
    "page",
    [(301, "https://elsewhere.example/"), (302, "https://shop.example/"), (500, ""), (301, "mailto:a@b.example")],
    ids=["another site", "itself", "a fault", "no address"],
)
async def test_a_page_that_is_none_is_no_pass(page: tuple[int, str], tmp_path: Path) -> None:
    """If the address leads out of the site, redirects for ever or fails, the page is not looked at, but the tag is."""
    found = await codes(tmp_path, ALONE, REDIRECT | {f"https://{HOST}": page})

    assert found["page_unseen"] == "https://shop.example/"
    assert {"tag_not_found", "tag_redirected"} & set(found)


async def test_www_that_redirects_is_one_page(tmp_path: Path) -> None:
    """If one name redirects to the other, the final page is looked at once, at its own address."""
    zone: Zone = {**ALONE, WWW: [NEAR, NEAR6]}
    answers = {f"http://{host}": (301, f"https://{WWW}/") for host in (HOST, WWW)}
    found = await codes(
        tmp_path, zone, answers | {f"https://{HOST}": (301, f"https://{WWW}/"), f"https://{WWW}": (200, "")}
    )

    assert found["page_without_tag"] == "https://www.shop.example/"
    assert found["tag_not_found"] == "https://www.shop.example/shop-tools/m.js"


async def test_the_page_says_where_the_proxy_is(tmp_path: Path) -> None:
    """If the page loads the tag from another host of the site, that host is examined as the proxy's."""
    zone: Zone = {**ALONE, OWN: [FAR]}
    body = f'<script async src="https://{OWN}/shop-tools/m.js"></script>'
    found = await codes(tmp_path, zone, REDIRECT | {f"https://{HOST}": (200, body), f"https://{OWN}": (404, "")})

    assert found["tag_not_found"] == f"https://{OWN}/shop-tools/m.js"
    assert found["address_far"] == found["ipv6_of_proxy_missing"] == OWN


@pytest.mark.parametrize("base", ["https://evil.example", "https://shop.example:99999", "https://[shop", "javascript:"])
async def test_a_tag_from_a_stranger_is_not_asked_for(base: str, tmp_path: Path) -> None:
    """A tag on a host outside the site is never requested, whatever the page says."""
    body = f'<script async src="{base}/shop-tools/m.js"></script>'
    found = await codes(tmp_path, ALONE, REDIRECT | {f"https://{HOST}": (200, body)})

    assert found["tag_not_found"] == "https://shop.example/shop-tools/m.js"


async def test_of_a_name_that_leads_nowhere_nothing_else_is_said(tmp_path: Path) -> None:
    """If the name has no address, one finding says so, and none is made about certificate, page or tag."""
    assert await codes(tmp_path, {"other.example": [NEAR]}, {}) == {"name_missing": HOST}


async def test_a_site_may_have_its_pages_on_www_alone(tmp_path: Path) -> None:
    """If only www has an address and a page, the bare domain is not reported, nor is a www name without a page."""
    alone = await codes(tmp_path, {WWW: [NEAR, NEAR6]}, {f"https://{WWW}": (200, "")})
    without = await codes(tmp_path, {**ALONE, WWW: [NEAR, NEAR6]}, REDIRECT | {f"https://{HOST}": (200, "")})

    assert "name_missing" not in alone
    assert alone["page_without_tag"] == "https://www.shop.example/"
    assert "page_unseen" not in without
