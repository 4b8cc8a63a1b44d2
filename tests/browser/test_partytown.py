"""Partytown itself, from its package, beside the tag: the Pixel in a worker, a forwarder in the page."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lab import Lab, laboratory
from playwright.async_api import Page
from polling import until
from shop_page import LOAD, STUB, TAG, script

LIBRARY = Path(__file__).resolve().parents[2] / "node_modules/@qwik.dev/partytown/lib"
AT = "/~partytown/"
# Service workers need a secure context, which over plain HTTP is only this host.
SECURE_HOST = "localhost"
BASE_CODE = f"(function () {{ {STUB} {LOAD} }})();"
CALLS = "fbq('init', '111'); fbq('track', 'PageView');"
SETTINGS = script(f"partytown = {{forward: ['fbq'], lib: '{AT}'}}")


@pytest.fixture(name="lab")
async def _lab() -> AsyncIterator[Lab]:
    assert LIBRARY.is_dir(), "Partytown is missing: run `make unit`, which installs it"
    async with laboratory(forwarded_pixel=True) as lab:
        for file in LIBRARY.iterdir():
            if file.is_file():
                (lab.scripts if file.suffix == ".js" else lab.pages)[AT + file.name] = file.read_text()
        yield lab


def page_with(tag: str, in_worker: str, in_page: str) -> str:
    """Return a shop page whose Pixel runs in Partytown's worker."""
    party = script((LIBRARY / "partytown.js").read_text())
    worker = f'<script type="text/partytown">{BASE_CODE}{in_worker}</script>'
    return f"<!doctype html><head><link rel=icon href=data:,>{tag}{SETTINGS}{party}{worker}{script(in_page)}</head>"


async def visit(lab: Lab, page: Page, html: str, *, fires: int) -> None:
    """Open the page, call a Lead once the Pixel has sent its PageView, and wait for ``fires`` events of the Pixel."""
    lab.pages["/"] = html
    await page.goto(lab.url("/", host=SECURE_HOST))
    await until(lambda: lab.fired, what="the Pixel in the worker sends a PageView")
    await page.evaluate("fbq('track', 'Lead', {value: 5})")
    await until(lambda: len(lab.fired) >= fires, what="the Pixel in the worker sends the Lead")


async def test_the_pixel_in_the_worker_is_mirrored(lab: Lab, page: Page) -> None:
    """With the documented recipe both copies of each event have one id; the browser copy's status stays unknown."""
    await visit(lab, page, page_with(TAG, "", CALLS), fires=2)
    await until(lambda: len(lab.events) == 2, what="the tag mirrors both")

    assert lab.mirrored_pairs == lab.fired_pairs
    assert [name for _, name, _ in lab.mirrored_pairs] == ["Lead", "PageView"]
    assert {event["pixel"] for event in lab.events} == {"pending"}


async def test_an_init_in_the_worker_costs_only_what_is_called_there(lab: Lab, page: Page) -> None:
    """With an init in the worker, as in Partytown's own example, only calls made in the worker are not mirrored.

    Later calls of the page are mirrored for all pixels; the PageView that the worker calls has no id.
    """
    await visit(lab, page, page_with(TAG, CALLS, ""), fires=2)
    await until(lambda: lab.events, what="the tag mirrors the Lead")
    ids = {name: identity for _, name, identity in lab.fired_pairs}

    assert lab.mirrored_pairs == [("111", "Lead", ids["Lead"]), ("222", "Lead", ids["Lead"])]
    assert ids["PageView"] == ""


async def test_partytown_alone_fires_the_same(lab: Lab, page: Page) -> None:
    """Without the tag the Pixel in the worker sends the same events, without ids: the tag costs no event."""
    await visit(lab, page, page_with("", "", CALLS), fires=2)

    assert [(pixel, name) for pixel, name, _ in lab.fired_pairs] == [("111", "Lead"), ("111", "PageView")]
