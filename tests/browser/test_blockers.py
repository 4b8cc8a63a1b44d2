"""A real Firefox with uBlock Origin, as Debian ships it: our addresses pass, the Pixel's do not, in one visit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from firefox import GPC, START, Front, document, firefox, fronted, resolved
from shop_page import BASE, script
from support import PIXEL, SECRET, Installation, get_json, installation, until

from proxy.model.keys import prefix_of

pytestmark = pytest.mark.timeout(300)

PREFIX = prefix_of(SECRET, "shop")
PAGE_HOST = "www.acmeshop.com"
SUB_DOMAIN = "t.acmeshop.com"
# By the page of each placement: the host that serves the proxy there, and the event that only this page fires.
PLACEMENTS = {"/path": (PAGE_HOST, "Contact"), "/name": (SUB_DOMAIN, "Lead")}
CONTROL_IMAGE = f"/tr?id={PIXEL}&ev=PageView&noscript=1"
OURS = {("GET", "m.js", 200), ("POST", "e", 204), ("GET", "n.gif", 200)}
# Firefox takes long to start, uBlock Origin longer to read its lists, and a machine may be busy.
START_SECONDS = 150


def page(base: str, event: str) -> str:
    """Return a shop page with all that we serve, and the Pixel's own addresses, on one host."""
    return document(
        f'<script src="{base}{PREFIX}/m.js"></script>',
        BASE,
        script(f"fbq('init', '{PIXEL}')", f"fbq('track', '{event}')"),
        script(f"navigator.sendBeacon('{base}/plain')"),
        f'<script src="{base}/fbevents.js"></script>',
        *(f'<img src="{base}{path}">' for path in (CONTROL_IMAGE, "/plain.png")),
        # Later than the tag: a real page does not load both, and the image's answer sets a browser id of its own.
        script(f"setTimeout(() => {{ new Image().src = '{base}{PREFIX}/n.gif' }}, 500)"),
    )


@dataclass(frozen=True)
class Account:
    """The requests of a visit that got through, and the rows that the proxy wrote about its events."""

    front: Front
    rows: list[dict[str, Any]]
    beacons: set[str]
    """The hosts that a beacon is expected to reach."""

    def row(self, name: str) -> tuple[str, str, str]:
        """Return status, reason and browser copy of the one event of this name."""
        (row,) = (row for row in self.rows if row["name"] == name)
        return row["status"], row["reason"], row["browser_copy"]


async def ledger(proxy: Installation, name: str, **wanted: str) -> list[dict[str, Any]]:
    """Wait until the ledger has an event of this name with these values, and return all its rows."""

    async def complete() -> list[dict[str, Any]] | None:
        rows: list[dict[str, Any]] = (await get_json(proxy.session, f"{proxy.operator}/api/events"))["events"]
        return rows if any(row.items() >= (wanted | {"name": name}).items() for row in rows) else None

    found: list[dict[str, Any]] = await until(complete, seconds=30, what=f"{name} with {wanted} in the ledger")
    return found


@asynccontextmanager
async def shop(directory: Path, *, aliases: tuple[str, ...] = ()) -> AsyncIterator[tuple[Installation, Front, str]]:
    """Run the proxy and the shop before it; yield them and the address of the shop."""
    async with (
        installation(directory, domains=["acmeshop.com"], prefix="") as proxy,
        fronted(proxy.public, PREFIX) as front,
    ):
        port = f":{front.port}" if aliases else ""
        for path, (host, event) in PLACEMENTS.items():
            front.pages[path] = page("" if host == PAGE_HOST else f"http://{host}{port}", event)
        yield proxy, front, f"http://{PAGE_HOST}{port}"


async def visit(directory: Path, aliases: tuple[str, ...], beacons: set[str]) -> Account:
    """Walk one Firefox with uBlock Origin over the pages of both placements."""
    async with shop(directory, aliases=aliases) as (proxy, front, address):
        preferences = resolved(front, aliases)
        async with firefox(directory / "profile", address + START, preferences, blocker=True):
            await front.lead(START, "/path", seconds=START_SECONDS)
            front.arrivals.clear()
            await ledger(proxy, "Contact", browser_copy="blocked")
            await front.saw(PLACEMENTS["/path"][0], "GET", f"{PREFIX}/n.gif")
            await front.lead("/path", "/name")
            await front.asked("/name")
            rows = await ledger(proxy, "Lead", browser_copy="blocked")
            await front.saw(PLACEMENTS["/name"][0], "GET", f"{PREFIX}/n.gif")
            for host in beacons:
                await front.saw(host, "POST", "/plain")
        return Account(front, rows, beacons)


@pytest.fixture(scope="module", name="account", params=["addresses", "canonical names"])
async def _account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """A visit where the shop's names have address records, or where they are aliases of another party's name."""
    directory = tmp_path_factory.mktemp("ublock")
    if request.param == "addresses":
        return await visit(directory, (), {PAGE_HOST, SUB_DOMAIN})
    return await visit(directory, (PAGE_HOST, SUB_DOMAIN), {PAGE_HOST})


@pytest.mark.parametrize("host", [PAGE_HOST, SUB_DOMAIN])
def test_ours_passes(account: Account, host: str) -> None:
    """On either host the tag, its collect requests and the image reach the proxy, which accepts them."""
    assert account.front.answers(host) == OURS


@pytest.mark.parametrize("host", [PAGE_HOST, SUB_DOMAIN])
def test_the_control_does_not(account: Account, host: str) -> None:
    """In the same visit the Pixel's own addresses are blocked on the same hosts, where a plain image is not."""
    seen = account.front.paths(host)

    assert "/plain.png" in seen
    assert not {"/fbevents.js", "/tr"} & set(seen)


@pytest.mark.parametrize("event", ["Contact", "Lead"])
def test_what_the_browser_lost_is_recovered(account: Account, event: str) -> None:
    """An event whose Pixel was blocked is delivered once, and the ledger shows its browser copy as blocked."""
    assert account.row(event) == ("delivered", "", "blocked")


@pytest.mark.parametrize("host", [PAGE_HOST, SUB_DOMAIN])
def test_a_beacon_to_a_foreign_name_is_lost(account: Account, host: str) -> None:
    """A beacon to a sub-domain whose canonical name is another party's is lost, even on a plain path.

    The tag itself sends no beacon.
    """
    assert account.front.paths(host, method="POST").count("/plain") == (host in account.beacons)


async def test_global_privacy_control_of_firefox(tmp_path: Path) -> None:
    """Firefox sends the signal with every request, and the proxy drops the events; no blocker stops the Pixel."""
    async with shop(tmp_path) as (proxy, front, address):
        preferences = resolved(front) | GPC
        async with firefox(tmp_path / "profile", f"{address}/path", preferences, blocker=False):
            await front.asked("/path", seconds=START_SECONDS)
            await ledger(proxy, "PageView")
            await front.saw(PAGE_HOST, "POST", f"{PREFIX}/e")
            rows = await ledger(proxy, "Contact")
    signals = {arrival.headers.get("Sec-GPC") for arrival in front.arrivals if arrival.host == PAGE_HOST}
    cookies = [arrival.headers["Cookie"] for arrival in front.arrivals if "Cookie" in arrival.headers]

    assert signals == {"1"}
    assert {(row["name"], row["status"], row["reason"]) for row in rows} == {
        ("Contact", "dropped", "gpc"),
        ("PageView", "dropped", "gpc"),
    }
    assert cookies == []
    assert front.answers(PAGE_HOST) == OURS
    assert {"/fbevents.js", "/tr"} <= set(front.paths(PAGE_HOST))
