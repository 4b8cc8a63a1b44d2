"""What the tag costs a page: its start, and an event beside a bare keepalive fetch of the same body in the same page.

Chromium with the processor slowed down four times, as a phone's. Both kinds of event are called one per task, which is
the costliest way: the tag puts all events of one task into one request. The start is that of a first visit, so that the
script was never compiled before, and is compared with a comment of the same size. It is measured on a page that has not
called ``fbq`` yet, as where the tag stands first, and on a page whose waiting PageView the tag sends at once. The cost
is the time of the page's main thread, by the browser's own count, with everything that follows.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import click
from aiohttp import web
from playwright.async_api import CDPSession, Page, async_playwright
from rig import goal

from proxy.config.schema import Site
from proxy.edge.tag.build import tag_of

_SLOWER = 4
_SITE = Site.model_validate(
    {"name": "shop", "domains": ["127.0.0.1"], "pixel": [{"id": "111", "access_token": "t"}]},
    context={"resolve": str},
)
# A stub of the Pixel that does nothing, so that only the tag's own work is measured.
_PAGE = """<!doctype html><head><link rel=icon href=data:,><script src="/k/m.js"></script><script>
  const fbq = (window.fbq = (...call) => fbq.callMethod ? fbq.callMethod(...call) : fbq.queue.push(call));
  fbq.queue = [];
  fbq("init", "111", {em: "anna@example.com"});
  fbq("track", "PageView");
  fbq.queue.length = 0;
  fbq.callMethod = () => {};

  // Slower than they are sent, for a browser refuses more than 20 keepalive requests at once.
  const each = (count, work) => new Promise((done) => {
    const next = (left) => left ? (work(left), setTimeout(next, 30, left - 1)) : done();
    next(count);
  });
  const tagged = (count) =>
    each(count, (at) => fbq("track", "AddToCart", {content_ids: ["sku-" + at], value: at, currency: "EUR"}));
  const bare = (count, body) =>
    each(count, () => { fetch("/k/e", {method: "POST", body, credentials: "include", keepalive: true}) });
</script></head><body></body>"""


@dataclass
class _Shop:
    """The server of the page; it counts the requests that the page sends."""

    bodies: list[str] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    tag: bytes = tag_of(_SITE).bodies[""]

    async def page(self, request: web.Request) -> web.Response:
        text = _PAGE if request.path == "/" else "<!doctype html><head><link rel=icon href=data:,></head>"
        return web.Response(text=text, content_type="text/html")

    async def script(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.tag, content_type="text/javascript")

    async def comment(self, _request: web.Request) -> web.Response:
        return web.Response(body=b"/*%b*/" % (b"-" * (len(self.tag) - 4)), content_type="text/javascript")

    async def collect(self, request: web.Request) -> web.Response:
        body = await request.text()
        async with self.came:
            self.bodies.append(body)
            self.came.notify_all()
        return web.Response(status=204)

    async def wait(self, count: int) -> None:
        """Wait until the page has sent this many requests.

        Raises:
            TimeoutError: when it does not.
        """
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.bodies) >= count)


# The longest task (browsers report tasks of 50 ms or more) while a script that is added late is loaded and run.
_LATE = """(src) => new Promise((done) => {
  const longest = [0];
  new PerformanceObserver((list) => longest.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({type: "longtask"});
  const script = document.head.appendChild(document.createElement("script"));
  script.onload = () => setTimeout(() => done(Math.max(...longest)), 500);
  script.src = src;
})"""
_QUEUED = """{
  const fbq = (window.fbq = (...call) => fbq.callMethod ? fbq.callMethod(...call) : fbq.queue.push(call));
  fbq.queue = [];
  fbq("init", "111", {em: "anna@example.com"});
  fbq("track", "PageView");
}"""


@asynccontextmanager
async def _served(shop: _Shop) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(
        [
            web.get("/", shop.page),
            web.get("/empty", shop.page),
            web.get("/k/m.js", shop.script),
            web.get("/k/comment.js", shop.comment),
            web.post("/k/e", shop.collect),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def _busy(session: CDPSession) -> float:
    """Return the seconds the main thread has worked so far."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


@dataclass
class _Start:
    """What the start of a script cost."""

    ms: float
    """Milliseconds that the main thread worked."""
    longest_ms: float
    """The longest task, if one took 50 ms or more; otherwise 0."""


async def _start(page: Page, session: CDPSession, script: str, calls: str) -> _Start:
    """Load a script into a page where ``calls`` of ``fbq`` wait, and return what that cost."""
    await page.reload()
    await page.evaluate(calls)
    before = await _busy(session)
    longest = await page.evaluate(_LATE, script)
    return _Start((await _busy(session) - before) * 1000, longest)


async def _starts(page: Page, session: CDPSession, count: int) -> dict[str, list[tuple[_Start, _Start]]]:
    """Load the tag and the comment in turn, each time as on a first visit."""
    taken: dict[str, list[tuple[_Start, _Start]]] = {"no call of fbq": [], "a PageView, sent": []}
    for number in range(count + 1):
        for (name, starts), calls in zip(taken.items(), ("", _QUEUED), strict=True):
            # Under a new address the browser compiles a script again.
            scripts = (f"/k/{script}.js?{name}{number}" for script in ("m", "comment"))
            tag, comment = [await _start(page, session, script, calls) for script in scripts]
            if number:  # the first round only warms up
                starts.append((tag, comment))
    return taken


async def _slice(shop: _Shop, page: Page, session: CDPSession, call: str, count: int) -> float:
    """Return the milliseconds that the main thread worked for one event."""
    shop.bodies.clear()
    before = await _busy(session)
    await page.evaluate(call)
    await shop.wait(count)
    return (await _busy(session) - before) / count * 1000


async def bench(rounds: int, count: int) -> None:
    """Measure the starts and the events in turn, and print the ratios."""
    shop = _Shop()
    async with _served(shop) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page()
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable", {"timeDomain": "threadTicks"})
        await session.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
        await page.goto(f"{address}empty")
        starts = await _starts(page, session, rounds)
        shop.bodies.clear()
        await page.goto(address)
        await page.evaluate("tagged(1)")
        await shop.wait(2)
        body = shop.bodies[-1]
        slices: dict[str, list[float]] = {"tag": [], "fetch": []}
        for number in range(rounds + 1):
            tag = await _slice(shop, page, session, f"tagged({count})", count)
            fetch = await _slice(shop, page, session, f"(body => bare({count}, body))({body!r})", count)
            if number:  # the first round only warms up
                slices["tag"].append(tag)
                slices["fetch"].append(fetch)
        await browser.close()
    ratios = [tag / fetch for tag, fetch in zip(slices["tag"], slices["fetch"], strict=True)]
    medians = {name: statistics.median(times) for name, times in slices.items()}
    _print_starts(starts)
    print(f"main thread, ms per event, {_SLOWER} x slower: tag {medians['tag']:.3f}, fetch {medians['fetch']:.3f}")
    goal(f"tag / fetch of {len(body)} bytes", statistics.median(ratios), 1.3, most=True)


def _print_starts(starts: dict[str, list[tuple[_Start, _Start]]]) -> None:
    more = {}
    for name, pairs in starts.items():
        more[name] = statistics.median(tag.ms - comment.ms for tag, comment in pairs)
        longest = max(tag.longest_ms for tag, _ in pairs)
        print(f"start with {name}: {more[name]:.2f} ms beyond a comment, longest task {longest:.0f} (0: below 50)")
    goal(f"start of the tag, ms of the main thread, {_SLOWER} x slower", more["no call of fbq"], 2, most=True)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds.")
def main(*, quick: bool) -> None:
    """Cost of an event in the page, relative to a bare fetch."""
    asyncio.run(bench(*(5, 50) if quick else (15, 100)))


if __name__ == "__main__":
    main()
