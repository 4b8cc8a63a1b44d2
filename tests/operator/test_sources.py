"""Sources over the operator API: sites, tag builds, refused origins, consent and privacy signals."""

from pathlib import Path
from typing import Any

from support import Installation, browser_headers, get_json, installation, page_views, until, wire

from proxy.model.rollup import OTHER, Tally
from proxy.queue.contract import QueueError, Stats
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.loop_counter import LoopCounters
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.tallies import CONSENT, REFUSED, TallyCollector, TallyCounters
from proxy.workers.relay import FrontConditions, FrontReports
from proxy.workers.watch import ConnectedFronts


async def _tag(shop: Installation, **headers: str) -> str:
    sent = browser_headers(**headers)
    async with shop.session.get(f"{shop.public}/shop-tools/m.js", headers=sent) as answer:
        return answer.headers["ETag"]


async def test_sources_tell_who_sends_and_who_is_refused(tmp_path: Path) -> None:
    """The answer has the events, tag builds, consent and signals of each site, and the host missing in domains."""
    async with installation(tmp_path) as shop:
        await shop.post(page_views(["s-1", "s-2"]))
        await shop.post(wire({"name": "Lead", "id": "s-3"}, gpc=True))
        await shop.post(wire({"name": "Lead", "id": "s-4"}, webdriver=True))
        for _ in range(4):
            status, _, _ = await shop.post(page_views(["s-5"]), Origin="https://forgotten.example")
            assert status == 403
        etag = await _tag(shop)
        await _tag(shop, If_None_Match=etag)
        await _tag(shop, If_None_Match='"0123456789abcdef0123-br"')
        await _tag(shop, If_None_Match='"<script>"')
        await shop.counted(2)
    # Counts are stored at the end at the latest, so the next process has them.
    async with installation(tmp_path) as shop:

        async def counted() -> dict[str, Any] | None:
            found = await get_json(shop.session, f"{shop.operator}/api/sources")
            return found if found["sites"][0]["events"] == 4 else None

        sources = await until(counted, what="four events")
        elsewhere = await get_json(shop.session, f"{shop.operator}/api/sources?site=elsewhere")
        old = await get_json(shop.session, f"{shop.operator}/api/sources?from=1000&to=2000")
    (site,) = sources["sites"]

    assert (site["site"], site["domains"], site["prefix"]) == ("shop", ["shop.example"], "/shop-tools")
    assert site["statuses"] == {"delivered": 2, "dropped": 2}
    assert site["drop_reasons"] == {"gpc": 1, "bot": 1}
    assert (site["gpc"], site["gpc_share"], site["bots"]) == (1, 0.25, 1)
    assert {each["name"]: each["events"] for each in site["names"]} == {"PageView": 2, "Lead": 2}
    assert sum(each["events"] for each in site["consents"]) == 4
    current = [tag for tag in sources["tags"] if tag["is_current"]]
    assert [(tag["build"], tag["loads"]) for tag in current] == [(etag.strip('"')[:8], 4)]
    assert [tag["build"] for tag in sources["tags"] if not tag["is_current"]] == ["01234567"]
    assert [(each["code"], each["origin"], each["requests"]) for each in sources["refused"]] == [
        ("foreign_origin", "forgotten.example", 4)
    ]
    assert sources["refused"][0]["setting"] == "site.domains"
    assert (elsewhere["sites"], elsewhere["tags"]) == ([], [])
    assert old["sites"][0]["events"] == 0


async def test_tallies_are_brought_once_and_again_after_a_failure() -> None:
    """Counts that the queue did not store are sent again, and stored ones are not."""
    brought: list[Tally] = []
    failing = [True]

    class Store:
        async def add_tallies(self, tallies: list[Tally]) -> None:
            if failing[0]:
                raise QueueError("away")
            brought.extend(tallies)

    counters = TallyCounters(LoopCounters())
    collector = TallyCollector(counters, Store(), lambda: 3_600_000)  # type: ignore[arg-type]
    counters.count(CONSENT, "shop", "granted", "pixel")
    try:
        await collector.store_tallies()
    except QueueError:
        failing[0] = False
    await collector.store_tallies()
    await collector.store_tallies()
    counters.count(CONSENT, "shop", "granted", "pixel", by=2)
    await collector.store_tallies()

    assert brought == [
        Tally(1, CONSENT, "shop\tgranted\tpixel", 1),
        Tally(1, CONSENT, "shop\tgranted\tpixel", 2),
    ]


def test_subjects_of_strangers_are_bounded() -> None:
    """A hundred thousand made-up origins take no more memory than a few hundred do."""
    counters = TallyCounters(LoopCounters())
    for number in range(100_000):
        counters.count(REFUSED, "foreign_origin", f"host-{number}.example")
    totals = counters.totals()

    assert len(totals) <= 301
    assert sum(totals.values()) == 100_000
    assert totals[REFUSED, OTHER] > 99_000


def test_fronts_tell_the_back_what_they_tallied() -> None:
    """The back adds up the counts of the fronts, each once."""
    back = Metrics()
    watch = ConnectedFronts(2, back, Conditions(lambda: 0))
    for number in (1, 2):
        front = Metrics()
        reports = FrontReports(front, FrontConditions(lambda: 0))
        front.tallies.count(CONSENT, "shop", "granted", "pixel", by=number)
        for _ in range(2):
            report = reports.report(0)
            if report:
                watch.report(number, report)
            reports.on_answered()

    assert back.tallies.totals() == {(CONSENT, "shop\tgranted\tpixel"): 3}
    assert b"tally" not in back.render(Stats({}, 0))
