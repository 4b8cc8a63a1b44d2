"""Routes in Firefox, with and without the Navigation API: the tag sends what it sends in Chromium."""

from pathlib import Path

import pytest
from firefox import firefox
from lab import laboratory
from polling import until
from shop_page import BASE, CALLS, TAG, script

MOVES = script("""
  const later = (ms) => new Promise((done) => setTimeout(done, ms));
  addEventListener('load', async () => {
    while (!fbq.callMethod || fbq.queue.length) await later(10);
    for (const at of [1, 2, 3]) { history.pushState({}, '', '/' + at); await later(100) }
    history.pushState({}, '', '/4'); history.replaceState({}, '', '/5'); history.pushState({}, '', '/6');
    fbq('track', 'Purchase', {value: 1, currency: 'EUR'});
    location.hash = 'top';
    await later(50);
    const back = new Promise((done) => addEventListener('popstate', done));
    history.back();
    await back;
    await later(100);
    fbq('trackCustom', 'End');
  });
""")


@pytest.mark.parametrize("without", ["", "delete window.navigation"])
async def test_firefox_tells_each_route_in_its_place(tmp_path: Path, without: str) -> None:
    """PageViews of quick routes, of routes in one task, of a fragment and of Back have ids and are in order."""
    async with laboratory(domains=["127.0.0.1"]) as lab:
        lab.pages["/"] = (
            f"<!doctype html><head><link rel=icon href=data:,>{script(without)}{TAG}{BASE}{CALLS}{MOVES}</head>"
        )
        async with firefox(tmp_path / "profile", lab.url(host="127.0.0.1"), {}, blocker=False):
            await until(lambda: any(hit["ev"] == "End" for hit in lab.fired), what="Firefox's last event", seconds=90)
            await until(lambda: any(event["name"] == "End" for event in lab.events), what="its copy", seconds=30)
            await until(lambda: len(lab.fired) >= len(lab.events), what="the Pixel's other hits", seconds=30)

    told = [f"{hit['ev']} {hit['dl'].split('/', 3)[3]}" for hit in sorted(lab.fired, key=lambda hit: int(hit["ec"]))]
    routes = [f"PageView {place}" for place in ("1", "2", "3", "4", "5", "6")]
    assert told == ["PageView ", "Lead ", *routes, "Purchase 6", "PageView 6#top", "PageView 6", "End 6"]
    assert lab.fired_pairs == lab.mirrored_pairs
