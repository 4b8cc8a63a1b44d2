"""Global Privacy Control of a real Firefox under each setting: the proxy obeys it, and the page can show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from firefox import GPC, Preference, document, firefox, fronted, resolved
from shop_page import BASE, script
from support import PIXEL, SECRET, Installation, get_json, installation, until

from proxy.model.keys import prefix_of

pytestmark = pytest.mark.timeout(300)

PREFIX = prefix_of(SECRET, "shop")
HOST = "www.acmeshop.com"
PAGE = document(
    f'<script src="{PREFIX}/m.js"></script>',
    BASE,
    script(f"fbq('init', '{PIXEL}')", "fbq('track', 'Contact')"),
    # What docs/privacy.md tells an owner to put into a page; the page reports what this shows.
    '<p id="gpc"></p>',
    script(
        f"fetch('{PREFIX}/c', {{ credentials: 'include' }})"
        ".then((answer) => answer.json())"
        ".then(({ opted_out, gpc }) => {"
        "  if (gpc == 'honoured') document.querySelector('#gpc').textContent = 'Opt-out request honored';"
        "  fetch(`/shown?${gpc}&${opted_out}&${document.querySelector('#gpc').textContent.replaceAll(' ', '_')}`);"
        "})"
    ),
)
START_SECONDS = 150


@dataclass(frozen=True)
class Account:
    """What was observed of one visit."""

    signals: set[str | None]
    end: tuple[str, str]
    """Status and reason of the one event."""
    options: object
    shown: str
    cookies: bool
    """Whether the browser sent any cookie."""
    declared: int
    """The status of the answer for the well-known resource."""


async def _end(proxy: Installation) -> tuple[str, str]:
    async def ended() -> list[dict[str, Any]]:
        found = await get_json(proxy.session, f"{proxy.operator}/api/events?name=Contact")
        rows: list[dict[str, Any]] = found["events"]
        return rows

    (row,) = await until(ended, seconds=30, what="the event's end")
    return row["status"], row["reason"]


async def _declared(session: aiohttp.ClientSession, proxy: Installation) -> int:
    async with session.get(f"{proxy.public}/.well-known/gpc.json", headers={"Host": HOST}) as answer:
        return answer.status


async def visit(directory: Path, setting: str, preferences: Mapping[str, Preference]) -> Account:
    """Open the page in a fresh Firefox."""
    async with (
        installation(directory, domains=["acmeshop.com"], prefix="", gpc=setting) as proxy,
        fronted(proxy.public, PREFIX) as front,
    ):
        front.pages["/"] = PAGE
        profile = resolved(front) | dict(preferences)
        async with firefox(directory / "profile", f"http://{HOST}/", profile, blocker=False):
            await front.saw_some(HOST, "GET", "/shown?", seconds=START_SECONDS)
            end = await _end(proxy)
        ours = [arrival for arrival in front.arrivals if arrival.host == HOST]
        (shown,) = (arrival.path.partition("?")[2] for arrival in ours if arrival.path.startswith("/shown?"))
        sent = (await get_json(proxy.session, f"{proxy.graph}/sim/events"))["events"]
        return Account(
            signals={arrival.headers.get("Sec-GPC") for arrival in ours},
            end=end,
            options=sent[0]["event"].get("data_processing_options") if sent else None,
            shown=shown,
            cookies=any("Cookie" in arrival.headers for arrival in ours),
            declared=await _declared(proxy.session, proxy),
        )


SHOWN = "honoured&false&Opt-out_request_honored"
# Setting, preferences of the browser, and the account that is expected.
VISITS: dict[str, tuple[str, Mapping[str, Preference], Account]] = {
    "drop": (
        "drop",
        GPC,
        Account({"1"}, ("dropped", "gpc"), None, SHOWN, False, 200),
    ),
    "ldu": (
        "ldu",
        GPC,
        Account({"1"}, ("delivered", ""), ["LDU"], SHOWN, True, 200),
    ),
    "ignore": ("ignore", GPC, Account({"1"}, ("delivered", ""), None, "ignored&false&", True, 404)),
    "no signal": ("drop", {}, Account({None}, ("delivered", ""), None, "absent&false&", True, 200)),
}


@pytest.mark.parametrize("name", VISITS)
async def test_the_signal_of_firefox(tmp_path: Path, name: str) -> None:
    """Every request has the header, the event ends as the setting says, and the page shows it."""
    setting, preferences, expected = VISITS[name]

    assert await visit(tmp_path, setting, preferences) == expected
