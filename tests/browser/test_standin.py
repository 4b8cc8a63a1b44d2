"""The stand-in for the Pixel, compared with what is known of the real one, and the sample shop, in a real Chromium."""

import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import BrowserContext, ConsoleMessage, Error, Page, Request
from stage import EMPTY, leave

from proxy.simulator.shop.app import ShopSettings, config_script, make_shop, standin_script

Hit = dict[str, str]
Order = Literal["queued", "live"]

STUB = """
  (function (w, d) {
    if (w.fbq) return;
    const stub = (w.fbq = function () {
      stub.callMethod ? stub.callMethod.apply(stub, arguments) : stub.queue.push(arguments);
    });
    w._fbq ||= stub;
    Object.assign(stub, { push: stub, loaded: true, version: "2.0", queue: [] });
    const script = d.createElement("script");
    script.async = true;
    script.src = "/pixel.js";
    d.head.append(script);
  })(window, document);
"""
END = 'fbq("trackCustom", "End");'
READY = "window.fbq && window.fbq.callMethod && !window.fbq.queue.length"
NO_CONFIG = "404"


@dataclass
class Site:
    """The stand-in and its configs, served with a page on any host, and all hits that arrived at /tr/."""

    html: str = ""
    port: int = 0
    config: str = ""
    pixel_query: str = ""
    received: list[tuple[str, Hit]] = field(default_factory=list)

    def app(self) -> web.Application:
        """Build the server."""
        app = web.Application()
        app.router.add_get("/pixel.js", self._pixel)
        app.router.add_get("/signals/config/{id}", self._config)
        app.router.add_route("*", "/tr/", self._tr)
        app.router.add_get("/m.js", self._tag)
        app.router.add_get("/sim/report", self._report)
        app.router.add_get("/{path:.*}", self._page)
        return app

    def url(self, host: str, path: str = "/") -> str:
        """Return the address of a page; every host leads to this server."""
        return f"http://{host}:{self.port}{path}"

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.html, content_type="text/html")

    async def _pixel(self, _request: web.Request) -> web.Response:
        return web.Response(text=standin_script(), content_type="text/javascript")

    async def _config(self, request: web.Request) -> web.Response:
        pixel = request.match_info["id"]
        if pixel == NO_CONFIG:
            raise web.HTTPNotFound
        text = self.config.replace("PIXEL_ID", pixel) or config_script(pixel)
        return web.Response(text=text, content_type="text/javascript")

    async def _tag(self, _request: web.Request) -> web.Response:
        return web.Response(text=TAG, content_type="text/javascript")

    async def _report(self, _request: web.Request) -> web.Response:
        return web.json_response(REPORT, headers={"Access-Control-Allow-Origin": "*"})

    async def _tr(self, request: web.Request) -> web.Response:
        body = (await request.text()) if request.method == "POST" else request.query_string
        self.received.append((request.method, dict(parse_qsl(body, keep_blank_values=True))))
        return web.Response(status=200)


class Visit:
    """One page in one browser tab, and all the stand-in did in it, in order."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.sent: list[Hit] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", self._error)

    async def end(self) -> None:
        """Leave the page clean for the next visit."""
        for event, heard in (("request", self._request), ("console", self._console), ("pageerror", self._error)):
            self.page.remove_listener(event, heard)
        self.site.html = EMPTY
        await leave(self.page, self.site.url("www.shop.test"))

    def _error(self, error: Error) -> None:
        self.errors.append(str(error))

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.path == "/tr/" and address.port == self.site.port:
            fields = parse_qsl(request.post_data or address.query, keep_blank_values=True)
            self.sent.append(dict(fields))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "warning":
            self.warnings.append(message.text)

    async def open(self, script: str = "", *, before: str = "", host: str = "www.shop.test", path: str = "/") -> None:
        """Load a page that runs `before`, the stub, then `script`."""
        stub = STUB.replace("/pixel.js", f"/pixel.js{self.site.pixel_query}")
        self.site.html = f"<!doctype html><title>t</title><body><script>{before}\n{stub}\n{script}</script>"
        await self.page.goto(self.site.url(host, path))

    async def run(self, script: str) -> None:
        """Run statements in the open page."""
        await self.page.evaluate("() => {" + script + "\n}")

    async def ready(self) -> None:
        """Wait until the stand-in has taken over and its queue is empty."""
        await self.page.wait_for_function(READY)

    async def finish(self, last: str = END) -> list[Hit]:
        """Send one last event and return all hits before it; requests start in order, so all are known then."""
        async with self.page.expect_request(lambda request: "ev=End" in request.url):
            await self.run(last)
        return [hit for hit in self.sent if hit["ev"] != "End"]

    async def play(self, script: str, order: Order = "queued", **where: str) -> list[Hit]:
        """Make the calls before ("queued") or after ("live") the stand-in takes over, and return its hits."""
        await self.open(script if order == "queued" else "", **where)
        await self.ready()
        if order == "live":
            await self.run(script)
        return await self.finish()


@pytest.fixture(name="site")
async def _site() -> AsyncIterator[Site]:
    site = Site()
    server = TestServer(site.app())
    await server.start_server()
    assert server.port
    site.port = server.port
    yield site
    await server.close()


@pytest.fixture(name="context")
def _context(kept_page: Page) -> BrowserContext:
    return kept_page.context


@pytest.fixture(name="visit")
async def _visit(kept_page: Page, site: Site) -> AsyncIterator[Visit]:
    visit = Visit(kept_page, site)
    yield visit
    await visit.end()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def only(hits: list[Hit], wanted: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    """Return the hits with only the fields that ``wanted`` has."""
    asked = [*wanted, *[{} for _ in hits]]
    return [{key: hit.get(key) for key in keys or hit} for hit, keys in zip(hits, asked, strict=False)]


def lead(event_id: str | None) -> list[dict[str, str | None]]:
    return [{"ev": "Lead", "eid": event_id}]


INIT = 'fbq("init", "1");'
TWO = 'fbq("init", "1"); fbq("init", "2");'

CALLS: dict[str, tuple[str, list[dict[str, str | None]]]] = {
    "init takes a string": (INIT + 'fbq("track", "Lead");', [{"id": "1", "ev": "Lead", "ec": "0"}]),
    "init takes a number": ('fbq("init", 1); fbq("track", "Lead");', [{"id": "1"}]),
    "addPixelId is an init": ('fbq("addPixelId", "1"); fbq("track", "Lead");', [{"id": "1"}]),
    "track before init is lost": ('fbq("track", "Lead");' + INIT, []),
    "track goes to every pixel with one id": (
        TWO + 'fbq("track", "Lead", {}, { eventID: "x" });',
        [{"id": "1", "eid": "x"}, {"id": "2", "eid": "x"}],
    ),
    "trackCustom goes to every pixel": (
        TWO + 'fbq("trackCustom", "Own", { a: 1 });',
        [{"id": "1", "ev": "Own", "cd[a]": "1", "tm": None}, {"id": "2", "ev": "Own"}],
    ),
    "trackSingle names its pixel": (
        TWO + 'fbq("trackSingle", "2", "Lead", { a: 1 }, { eventID: "x" });',
        [{"id": "2", "ev": "Lead", "cd[a]": "1", "eid": "x", "tm": "1"}],
    ),
    "trackSingleCustom names its pixel": (
        TWO + 'fbq("trackSingleCustom", "2", "Own", {}, { eventID: "x" });',
        [{"id": "2", "ev": "Own", "eid": "x", "tm": "2"}],
    ),
    "trackSingle wants its pixel as a string": (INIT + 'fbq("trackSingle", 1, "Lead");', []),
    "trackSingle of an unknown pixel is lost": (INIT + 'fbq("trackSingle", "9", "Lead");', []),
    "report names a track": (
        INIT + 'fbq("reportLead", { a: 1 }, { eventID: "x" });',
        [{"ev": "Lead", "cd[a]": "1", "eid": "x"}],
    ),
    "reportCustomEvent takes its name from the data": (
        INIT + 'fbq("reportCustomEvent", { event: "Own" });',
        [{"ev": "Own"}],
    ),
    "push takes the call as one array": (
        'fbq.push(["init", "1"]); _fbq.push(["track", "Lead", {}, { eventID: "x" }]);',
        [{"id": "1", "ev": "Lead", "eid": "x"}],
    ),
    "unknown commands do nothing": (INIT + 'fbq("dance"); fbq(7); fbq();', []),
    "eventID": (INIT + 'fbq("track", "Lead", {}, { eventID: "x" });', lead("x")),
    "event_id": (INIT + 'fbq("track", "Lead", {}, { event_id: "y" });', lead("y")),
    "eventID wins over event_id": (
        INIT + 'fbq("track", "Lead", {}, { event_id: "y", eventID: "x" });',
        lead("x"),
    ),
    "a nested eventID": (INIT + 'fbq("track", "Lead", {}, { eventID: { eventID: "x" } });', lead("x")),
    "a number as eventID": (INIT + 'fbq("track", "Lead", {}, { eventID: 7 });', lead("7")),
    "an empty eventID is none": (INIT + 'fbq("track", "Lead", {}, { eventID: "" });', lead(None)),
    "a string in place of event data is ignored": (INIT + 'fbq("track", "Lead", {}, "x");', lead(None)),
    "null in place of event data is ignored": (INIT + 'fbq("track", "Lead", {}, null);', lead(None)),
    "no eventID, no eid": (INIT + 'fbq("track", "Lead");', lead(None)),
    "an eventID in the custom data is custom data": (
        INIT + 'fbq("track", "Lead", { eventID: "x" });',
        [{"cd[eventID]": "x", "eid": None}],
    ),
    "custom data is one level of text and JSON": (
        INIT + 'fbq("track", "Lead", { a: "ä&=", b: [1, { c: 2 }], d: undefined, e: 1.5 });',
        [{"cd[a]": "ä&=", "cd[b]": '[1,{"c":2}]', "cd[d]": None, "cd[e]": "1.5"}],
    ),
    "the first PageView goes out, the second does not": (
        INIT + 'fbq("track", "PageView"); fbq("track", "PageView"); fbq("trackCustom", "PageView");',
        [{"ev": "PageView"}],
    ),
    "the PageView rule is kept for each pixel": (
        INIT + 'fbq("track", "PageView"); fbq("init", "2"); fbq("track", "PageView");',
        [{"id": "1"}, {"id": "2"}],
    ),
    "allowDuplicatePageViews lifts the PageView rule": (
        INIT + 'fbq.allowDuplicatePageViews = true; fbq("track", "PageView"); fbq("track", "PageView");',
        [{"ev": "PageView"}, {"ev": "PageView"}],
    ),
    "trackSingle neither obeys the PageView rule nor uses it up": (
        INIT + 'fbq("trackSingle", "1", "PageView"); fbq("track", "PageView"); fbq("trackSingle", "1", "PageView");',
        [{"tm": "1"}, {"tm": None}, {"tm": "1"}],
    ),
    "a trackSingleOnly pixel ignores track": (
        TWO + 'fbq("set", "trackSingleOnly", true, "2"); fbq("track", "Lead"); fbq("trackSingle", "2", "Lead");',
        [{"id": "1"}, {"id": "2"}],
    ),
    "a second init adds matching data once": (
        INIT + 'fbq("init", "1", { em: "a@b.co" }); fbq("init", "1", { em: "c@d.co" }); fbq("track", "Lead");',
        [{"ud[em]": sha256("a@b.co")}],
    ),
    "set agent needs a pixel": (
        TWO + 'fbq("set", "agent", "me", "2"); fbq("set", "agent", "no"); fbq("track", "Lead");',
        [{"id": "1", "a": None}, {"id": "2", "a": "me"}],
    ),
    "init's agent gives way to set's, and wins over the common one": (
        (
            'fbq.agent = "all"; fbq("init", "1"); fbq("init", "2", {}, { agent: "init" });'
            'fbq("init", "3", {}, { agent: "init" }); fbq("set", "agent", "set", "3"); fbq("track", "Lead");'
        ),
        [{"a": "all"}, {"a": "init"}, {"a": "set"}],
    ),
    "set autoConfig shows in the options": (
        TWO + 'fbq("set", "autoConfig", "false", "2"); fbq("track", "Lead");',
        [{"o": str(2 + 4 + 4096)}, {"o": str(1 + 4 + 4096)}],
    ),
    "set firstPartyCookies false sends no cookies": (
        'fbq("set", "firstPartyCookies", false, "1");' + INIT + 'fbq("track", "Lead");',
        [{"fbp": None, "fbc": None}],
    ),
    "Limited Data Use with geolocation": (
        'fbq("dataProcessingOptions", ["LDU"], 0, 0);' + INIT + 'fbq("track", "Lead");',
        [{"dpo": "LDU", "dpoco": "0", "dpost": "0"}],
    ),
    "Limited Data Use switched off": (
        'fbq("dataProcessingOptions", []);' + INIT + 'fbq("track", "Lead");',
        [{"dpo": "", "dpoco": "undefined", "dpost": "undefined"}],
    ),
    "two data processing arguments are ignored": (
        'fbq("dataProcessingOptions", ["LDU"], 0);' + INIT + 'fbq("track", "Lead");',
        [{"dpo": None, "dpoco": None, "dpost": None}],
    ),
    "a Purchase without value is still sent": (INIT + 'fbq("track", "Purchase");', [{"ev": "Purchase"}]),
    "events are counted for each pixel": (
        TWO + 'fbq("track", "Lead"); fbq("trackSingle", "2", "Lead"); fbq("track", "Lead");',
        [{"id": "1", "ec": "0"}, {"id": "2", "ec": "0"}, {"id": "2", "ec": "1"}, {"id": "1", "ec": "1"}, {"ec": "2"}],
    ),
    "disabledExtensions ride on events": (
        'fbq("disabledExtensions", ["a", "b"]);' + INIT + 'fbq("track", "Lead");',
        [{"de": "a,b"}],
    ),
    "setUserProperties is an event of the system": (
        INIT + 'fbq("setUserProperties", "1", { vip: 1 });',
        [{"ev": "UserProperties", "tm": "3", "es": "user_properties", "cd[vip]": "1"}],
    ),
}


@pytest.mark.parametrize("order", ["queued", "live"])
@pytest.mark.parametrize("case", CALLS)
async def test_calls(visit: Visit, case: str, order: Order) -> None:
    """Each call has its known effect on the hits, whether the Pixel was loaded before or after the call."""
    script, wanted = CALLS[case]

    hits = await visit.play(script, order)

    assert only(hits, wanted) == wanted
    assert visit.errors == []


WARNINGS = {
    "a second init": (INIT + INIT, "Duplicate Pixel ID: 1"),
    "two stubs": (INIT + "window._fbq = function () {};", "conflicting versions"),
    "an unknown pixel": (INIT + 'fbq("trackSingle", 1, "Lead");', "Pixel undefined not found"),
    "no pixel id": (INIT + 'fbq("init");', "Invalid PixelID"),
    "an unknown name": (INIT + 'fbq("track", "Laed");', "not a standard event"),
    "a Purchase without currency": (INIT + 'fbq("track", "Purchase", { value: 1 });', "currency"),
    "a Purchase without value": (INIT + 'fbq("track", "Purchase", { currency: "USD" });', "value"),
    "an eventID in the wrong place": (INIT + 'fbq("track", "Lead", { eventID: "x" }, {});', "'eventID' belongs"),
    "unknown metadata": (INIT + 'fbq("set", "weather", "fine");', "Unsupported metadata"),
    "a bad address": ('fbq("init", "1", { em: "nobody" }); fbq("track", "Lead");', "'em'"),
}


@pytest.mark.parametrize("case", WARNINGS)
async def test_warns(visit: Visit, case: str) -> None:
    """What the Pixel warns about is one console warning, and later calls work."""
    script, wanted = WARNINGS[case]

    await visit.play(script)

    assert any(text.startswith("[Meta Pixel] - ") and wanted in text for text in visit.warnings), visit.warnings


async def test_warns_of_nothing(visit: Visit) -> None:
    """A page that uses the Pixel as documented sees no warning."""
    await visit.play('fbq("init", "1", { em: "a@b.co" }); fbq("track", "PageView"); fbq("trackCustom", "Own");')

    assert visit.warnings == []


MATCHING = {
    "em": (" John_Smith@Gmail.com ", "john_smith@gmail.com"),
    "ph": ("0044 20 7946 0958", "442079460958"),
    "fn": ("Mary-Ann ", "maryann"),
    "ln": ("O'Neil", "oneil"),
    "ge": ("M", "m"),
    "db": ("02/16/1997", "19970216"),
    "ct": ("São Paulo", "sopaulo"),
    "st": ("California", "ca"),
    "zp": ("94035-1234", "94035"),
    "country": ("United States", "us"),
    "external_id": (" User1 ", "user1"),
}


@pytest.mark.parametrize("key", MATCHING)
async def test_matching_is_normalised_and_hashed(visit: Visit, key: str) -> None:
    """Matching data leaves the page as the hash of its normal form."""
    value, normal = MATCHING[key]

    hits = await visit.play(f'fbq("init", "1", {{ {key}: "{value}" }}); fbq("track", "Lead");')

    assert [sha256(normal)] == [hit[f"ud[{key}]"] for hit in hits]


async def test_a_hash_is_taken_as_one(visit: Visit) -> None:
    """A value that looks like a hash is lower-cased and not hashed again."""
    hashed = sha256("a@b.co").upper()

    hits = await visit.play(f'fbq("init", "1", {{ em: "{hashed}" }}); fbq("track", "Lead");')

    assert [hashed.lower()] == [hit["ud[em]"] for hit in hits]


async def test_takes_over_the_stub(visit: Visit) -> None:
    """The stub stays what `fbq` is, and gets its new properties by plain assignment."""
    await visit.open(
        before="""
          window.assigned = [];
          let pixel;
          Object.defineProperty(window, "fbq", { configurable: true, get: () => pixel, set(stub) {
            pixel = stub;
            for (const key of ["callMethod", "instance", "getState"])
              Object.defineProperty(stub, key, { set(value) {
                assigned.push(key);
                Object.defineProperty(stub, key, { value, writable: true, configurable: true });
              }, configurable: true });
          } });
        """,
        script="window.mine = fbq;",
    )
    await visit.ready()

    seen = await visit.page.evaluate(
        """() => ({
          same: fbq === mine && _fbq === mine,
          own: ["registerPlugin", "init", "set", "send"].map((key) => typeof fbq[key]),
          assigned,
        })"""
    )

    assert seen["same"]
    assert seen["own"] == ["function"] * 4
    assert seen["assigned"] == ["instance", "callMethod", "getState"]


async def test_drains_the_queue_past_call_method(visit: Visit) -> None:
    """Queued calls are shifted off the queue and run directly, so that a wrapped `callMethod` sees none of them."""
    await visit.open(
        """
          window.seen = [];
          let real;
          Object.defineProperty(fbq, "callMethod", {
            get: () => real && function (...call) { seen.push(call[0]); return real.apply(this, call); },
            set: (method) => { real = method; },
          });
        """
        + INIT
        + 'fbq("track", "Lead");'
    )
    await visit.ready()

    assert await visit.page.evaluate("seen") == []
    hits = await visit.finish()
    assert only(hits, [{"ev": ""}]) == [{"ev": "Lead"}]
    assert await visit.page.evaluate("seen") == ["trackCustom"]


async def test_held_calls_pass_the_queue_again(visit: Visit) -> None:
    """A call made while the config is on its way is pushed back on the queue by the Pixel itself."""
    await visit.open()
    await visit.ready()
    await visit.run(
        """
          window.pushed = [];
          fbq.queue.push = function (...calls) {
            calls.forEach((call) => pushed.push([Object.prototype.toString.call(call), call[0]]));
            return Array.prototype.push.apply(this, calls);
          };
        """
        + INIT
        + 'fbq("track", "Lead");'
    )

    assert await visit.page.evaluate("pushed") == [["[object Arguments]", "track"]]
    await visit.ready()
    assert only(await visit.finish(), [{"ev": ""}]) == [{"ev": "Lead"}]


async def test_waits_for_ever_without_the_config(visit: Visit) -> None:
    """If only the config is blocked, every call after the first init stays in the queue for ever."""
    await visit.open(f'fbq("init", "{NO_CONFIG}"); fbq("track", "PageView"); fbq("track", "Lead");')
    await visit.page.wait_for_load_state("networkidle")

    assert await visit.page.evaluate("[typeof fbq.callMethod, fbq.queue.length]") == ["function", 2]
    assert visit.sent == []


PLUGIN = 'fbq("set", "openbridge", "1", "https://g.shop.test"); fbq("track", "Lead");'


async def test_waits_for_a_plugin(visit: Visit) -> None:
    """A plugin that the page requires holds all calls until it is registered, even if its script never loads."""
    await visit.page.route("**/signals/plugins/openbridge3.js*", lambda route: route.abort())
    await visit.open(INIT + PLUGIN)
    await visit.page.wait_for_load_state("networkidle")

    assert await visit.page.evaluate("[typeof fbq.callMethod, fbq.queue.length]") == ["function", 1]
    assert visit.sent == []

    await visit.run('fbq.registerPlugin("openbridge3", { plugin() {} });')
    assert only(await visit.finish(), [{"ev": ""}]) == [{"ev": "Lead"}]


async def test_a_gateway_gives_ids(visit: Visit) -> None:
    """With a gateway the Pixel makes an id where the call has none, and keeps the call's id otherwise."""
    visit.site.config = """
      fbq.registerPlugin("PIXEL_ID", { plugin(fbq, instance, id) {
        instance.optIn(id, "OpenBridge"); instance.configLoaded(id); } });
    """
    hits = await visit.play(INIT + 'fbq("track", "Lead"); fbq("track", "Contact", {}, { eventID: "x" });')

    assert [(hit["cf"], hit["eid"].partition("_")[0]) for hit in hits] == [("1", "ob3"), ("1", "x")]


async def test_tells_the_calls_it_took(visit: Visit) -> None:
    """With an option the stand-in appends each call that it takes to a global list: what `this` was, then the call."""
    visit.site.pixel_query = "?calls=taken"
    await visit.open(before="window.taken = [];", script=INIT + 'fbq.push(["track", "Lead"]);')
    await visit.ready()
    await visit.run('fbq.callMethod.apply(null, ["dance", 7]);')

    assert await visit.page.evaluate("taken") == [["fbq", "init", "1"], ["fbq", "track", "Lead"], ["null", "dance", 7]]


CONSENT = {
    "revoked before init": ("", 'fbq("consent", "revoke");' + INIT + 'fbq("track", "Lead");'),
    "revoked after load": (INIT, 'fbq("consent", "revoke"); fbq("track", "Lead");'),
}


@pytest.mark.parametrize("case", CONSENT)
async def test_consent_holds_everything(visit: Visit, case: str) -> None:
    """After `revoke` only `consent` calls run; `grant` runs all held calls in order."""
    early, late = CONSENT[case]
    await visit.open(early)
    await visit.ready()
    await visit.run(late)
    queued = await visit.page.evaluate("Array.from(fbq.queue, (call) => call[0])")

    assert visit.sent == []
    assert queued == [name for name in ("init", "track") if f'"{name}"' in late]

    await visit.run('fbq("consent", "grant");')
    await visit.ready()
    assert only(await visit.finish(), [{"ev": ""}]) == [{"ev": "Lead"}]


async def test_consent_revoked_in_the_queue_makes_no_cookie(visit: Visit, context: BrowserContext) -> None:
    """Without consent not even the config is requested, and no cookie is made."""
    await visit.open('fbq("consent", "revoke");' + INIT + 'fbq("track", "PageView");')
    await visit.page.wait_for_function("Boolean(fbq.callMethod)")

    assert await visit.page.evaluate("fbq.queue.length") == 2
    assert visit.sent == []
    assert await context.cookies() == []


async def test_consent_granted_in_the_queue(visit: Visit) -> None:
    """A grant that is queued behind a revoke never runs; a second grant after load runs all held calls."""
    await visit.open('fbq("consent", "revoke");' + INIT + 'fbq("track", "Lead"); fbq("consent", "grant");')
    await visit.page.wait_for_function("Boolean(fbq.callMethod)")
    await visit.run('fbq("track", "Contact");')

    queued = await visit.page.evaluate("Array.from(fbq.queue, (call) => call[0])")
    assert (visit.sent, queued) == ([], ["init", "track", "consent", "track"])

    await visit.run('fbq("consent", "grant");')
    await visit.ready()
    assert [hit["ev"] for hit in await visit.finish()] == ["Lead", "Contact"]


@pytest.mark.parametrize(("order", "taken"), [("queued", []), ("live", ["Lead"])])
async def test_a_waiting_array_names_no_pixel(visit: Visit, order: Order, taken: list[str]) -> None:
    """A trackSingle that waits in the queue as one array is refused with a warning; a live one is taken."""
    call = '_fbq.push(["trackSingle", "1", "Lead"]);'
    await visit.open(INIT + (call if order == "queued" else ""))
    await visit.ready()
    if order == "live":
        await visit.run(call)

    assert [hit["ev"] for hit in await visit.finish()] == taken
    assert len(visit.warnings) == 1 - len(taken)


async def test_null_this_counts_as_automatic(visit: Visit) -> None:
    """A call that a stub makes with `this` null is marked in the hit, and the PageView rule does not apply to it."""
    await visit.open(INIT + 'fbq("track", "PageView");')
    await visit.ready()
    await visit.run('fbq.callMethod.apply(null, ["track", "PageView"]);')

    hits = await visit.finish()

    assert [(hit["ev"], hit.get("ie[a]")) for hit in hits] == [("PageView", None), ("PageView", "1")]


LOST = {
    "a bare function before load": (
        "before",
        "{ const stub = fbq; window.fbq = (...call) => stub(...call); }",
        False,
    ),
    "a wrapper with the stub's properties before load": (
        "before",
        "{ const stub = fbq; window.fbq = Object.assign((...call) => stub(...call), stub); }",
        False,
    ),
    "a bare function after load": (
        "after",
        "{ const real = fbq; window.fbq = (...call) => real(...call); }",
        False,
    ),
    "a wrapper with the properties after load": (
        "after",
        "{ const real = fbq; window.fbq = Object.assign((...call) => real(...call), real); }",
        True,
    ),
    "a proxy before load": (
        "before",
        "{ const stub = fbq; window.fbq = new Proxy(stub, {}); }",
        True,
    ),
}


@pytest.mark.parametrize("case", LOST)
async def test_bad_wrappers_lose_events(visit: Visit, case: str) -> None:
    """A wrapper put over `fbq` loses later events in exactly those cases in which the real Pixel loses them."""
    when, wrap, arrives = LOST[case]
    await visit.open(INIT + (wrap if when == "before" else ""))
    await visit.page.wait_for_load_state("networkidle")
    if when == "after":
        await visit.run(wrap)
    await visit.run('window.fbq("track", "Lead");')

    hits = await visit.finish('new Image().src = "/tr/?ev=End";')

    assert [hit["ev"] for hit in hits] == ["Lead"] * arrives


ROUTES = {
    "pushState": ('history.pushState({}, "", "/two");', 1),
    "pushState to the same address": ('history.pushState({}, "", location.href);', 0),
    "replaceState": ('history.replaceState({}, "", "/two");', 1),
    "replaceState to the same address": ('history.replaceState({}, "", location.href);', 0),
}


@pytest.mark.parametrize("case", ROUTES)
async def test_route_changes(visit: Visit, case: str) -> None:
    """A new address is a PageView without an id, although the PageView rule would forbid a second one."""
    script, count = ROUTES[case]
    await visit.open(INIT + 'fbq("track", "PageView");')
    await visit.ready()
    await visit.run(script)

    automatic = (await visit.finish())[1:]

    assert [("PageView", None, None, "/two")] * count == [
        (hit["ev"], hit.get("eid"), hit.get("ie[a]"), urlsplit(hit["dl"]).path) for hit in automatic
    ]


async def test_hash_and_back_are_routes(visit: Visit) -> None:
    """A new fragment and Back are PageViews too."""
    await visit.open(INIT + 'fbq("track", "PageView");')
    await visit.ready()
    async with visit.page.expect_request("**/tr/**"):
        await visit.run('location.hash = "two";')
    async with visit.page.expect_request("**/tr/**"):
        await visit.run("history.back();")

    hits = await visit.finish()

    assert [urlsplit(hit["dl"]).fragment for hit in hits] == ["", "two", ""]


@pytest.mark.parametrize("before", ["", "fbq.disablePushState = true;"], ids=["watched", "disablePushState"])
async def test_restored_page(visit: Visit, before: str) -> None:
    """A page restored from the back-forward cache is a PageView even if route changes are not."""
    await visit.open(before + INIT + 'fbq("track", "PageView");')
    await visit.ready()
    await visit.run('dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));')

    assert [hit["ev"] for hit in await visit.finish()] == ["PageView", "PageView"]


async def test_disable_push_state(visit: Visit) -> None:
    """With `disablePushState` the Pixel sends no PageView of a route."""
    await visit.open("fbq.disablePushState = true;" + INIT + 'fbq("track", "PageView");')
    await visit.ready()
    await visit.run('history.pushState({}, "", "/two");')

    assert [hit["ev"] for hit in await visit.finish()] == ["PageView"]


async def test_routes_are_watched_after_the_first_event(visit: Visit) -> None:
    """Routes before the first event are ignored, and only pixels that take `track` get a route's PageView."""
    await visit.open(TWO + 'fbq("set", "trackSingleOnly", true, "2");')
    await visit.ready()
    await visit.run('history.pushState({}, "", "/one"); fbq("track", "Lead"); history.pushState({}, "", "/two");')

    assert [(hit["id"], hit["ev"]) for hit in await visit.finish()] == [("1", "Lead"), ("1", "PageView")]


async def test_a_held_route_waits_as_an_array(visit: Visit) -> None:
    """A route change while calls are held is queued as a plain call."""
    await visit.open(INIT + 'fbq("track", "Lead");')
    await visit.ready()
    await visit.run('fbq("consent", "revoke"); history.pushState({}, "", "/two");')

    assert await visit.page.evaluate("fbq.queue[0]") == ["trackCustom", "PageView"]


async def test_clicks_on_buttons(visit: Visit) -> None:
    """If the config asks for it, clicks on buttons are events, unless autoConfig is off."""
    visit.site.config = """
      fbq.registerPlugin("PIXEL_ID", { plugin(fbq, instance, id) {
        instance.optIn(id, "InferredEvents"); instance.configLoaded(id); } });
    """
    await visit.open(TWO + 'fbq("set", "autoConfig", false, "2"); fbq("track", "Lead");')
    await visit.ready()
    await visit.run("document.body.innerHTML = '<a class=BTN-buy>Buy</a><p>Read</p>';")
    await visit.page.click("p")
    await visit.page.click("a")

    clicks = (await visit.finish())[2:]

    wanted = {"id": "1", "ev": "SubscribedButtonClick", "tm": "3", "es": "automatic", "cd[buttonText]": "Buy"}
    assert [wanted] == [{key: hit[key] for key in wanted} for hit in clicks]


async def test_long_events_are_posted(visit: Visit) -> None:
    """An event that does not fit into an address of 2,048 characters is posted as a form."""
    text = "ä" * 2000
    await visit.open(INIT)
    await visit.ready()
    async with visit.page.expect_response(lambda answer: answer.request.method == "POST"):
        await visit.run(f'fbq("track", "Lead", {{ text: "{text}" }}, {{ eventID: "x" }});')
    await visit.page.wait_for_function("!document.querySelector('iframe, form')")

    [(method, hit)] = visit.site.received
    assert (method, hit["ev"], hit["cd[text]"], hit["eid"], hit["rqm"]) == ("POST", "Lead", text, "x", "formPOST")


async def test_short_events_are_images(visit: Visit) -> None:
    """An event that fits is sent as the address of an image, with the facts of the page."""
    async with visit.page.expect_response("**/tr/?**") as answer:
        await visit.open(INIT + 'fbq("track", "Lead");', path="/p?a=1#b")
    request = (await answer.value).request
    [hit] = visit.sent

    assert (request.method, request.resource_type) == ("GET", "image")
    assert {"if": "false", "r": "stable", "rqm": "GET", "rl": "", "coo": "false"}.items() <= hit.items()
    assert hit["dl"] == visit.site.url("www.shop.test", "/p?a=1#b")
    assert re.fullmatch(r"\d{13} \d{13} \d+ \d+", f"{hit['ts']} {hit['it']} {hit['sw']} {hit['sh']}")


async def cookies_of(context: BrowserContext) -> dict[str, Any]:
    return {str(cookie.get("name")): cookie for cookie in await context.cookies()}


HOSTS = {
    "www.shop.test": (1, ".shop.test"),
    "shop.test": (1, ".shop.test"),
    "a.b.shop.co.uk": (2, ".shop.co.uk"),
    "localhost": (0, "localhost"),
    "127.0.0.1": (3, "127.0.0.1"),
}


@pytest.mark.parametrize("host", HOSTS)
async def test_cookie_place(visit: Visit, context: BrowserContext, host: str) -> None:
    """Cookies are set on the shortest suffix of the host that accepts them, for 90 days, and are part of the hits."""
    index, domain = HOSTS[host]
    hits = await visit.play(INIT + 'fbq("track", "PageView");', host=host, path="/?fbclid=abc")
    cookies = await cookies_of(context)

    assert re.fullmatch(rf"fb\.{index}\.\d{{13}}\.\d{{2,18}}", cookies["_fbp"]["value"])
    assert re.fullmatch(rf"fb\.{index}\.\d{{13}}\.abc", cookies["_fbc"]["value"])
    assert set(cookies) == {"_fbp", "_fbc"}
    for cookie in cookies.values():
        assert (cookie["domain"], cookie["path"], cookie["sameSite"]) == (domain, "/", "Lax")
        assert (cookie["secure"], cookie["httpOnly"]) == (False, False)
        assert abs(cookie["expires"] - time.time() - 90 * 86400) < 60
    assert [(cookies["_fbp"]["value"], cookies["_fbc"]["value"])] == [(hit["fbp"], hit["fbc"]) for hit in hits]


CLICKS: dict[str, tuple[str, str | None, str | None]] = {
    "none": ("/", None, None),
    "from the query": ("/?a=1&fbclid=IwAR_x-1", None, r"fb\.1\.NOW\.IwAR_x-1"),
    "from the fragment": ("/#x&fbclid=abc", None, r"fb\.1\.NOW\.abc"),
    "decoded once": ("/?fbclid=a%252Db", None, r"fb\.1\.NOW\.a%2Db"),
    "dots are spelled out": ("/?fbclid=a.b", None, r"fb\.1\.NOW\.a__DOT__b"),
    "500 characters": (f"/?fbclid={'x' * 500}", None, r"fb\.1\.NOW\.x{500}"),
    "501 characters": (f"/?fbclid={'x' * 501}", None, None),
    "a script": ("/?fbclid=JavaScript:1", None, None),
    "the same id keeps its time": ("/?fbclid=abc", "fb.1.1700000000000.abc", r"fb\.1\.1700000000000\.abc"),
    "a new id has a new time": ("/?fbclid=new", "fb.1.1700000000000.abc", r"fb\.1\.NOW\.new"),
    "a new id keeps the index": ("/?fbclid=new", "fb.2.1700000000000.abc", r"fb\.2\.NOW\.new"),
    "no id keeps all": ("/", "fb.1.1700000000000.abc", r"fb\.1\.1700000000000\.abc"),
    "a fifth part stays": ("/", "fb.1.1700000000000.abc.AQIBAQIA", r"fb\.1\.1700000000000\.abc\.AQIBAQIA"),
    "what is no cookie of ours is replaced": ("/?fbclid=abc", "junk", r"fb\.1\.NOW\.abc"),
}


@pytest.mark.parametrize("case", CLICKS)
async def test_click_id(visit: Visit, context: BrowserContext, case: str) -> None:
    """A click id in the address becomes `_fbc`, or renews it, by the Pixel's rules."""
    path, stored, wanted = CLICKS[case]
    if stored:
        host = "www.shop.test" if stored.startswith("fb.2") else ".shop.test"
        domain = f".{host}".replace("..", ".")
        await context.add_cookies([{"name": "_fbc", "value": stored, "domain": domain, "path": "/"}])
    start = int(time.time() * 1000)

    hits = await visit.play(INIT + 'fbq("track", "PageView");', path=path)

    [(sent, count)] = [(hit.get("fbc"), len(await context.cookies())) for hit in hits]
    assert count == (1 if wanted is None else 2)
    if wanted is None:
        assert sent is None
    else:
        assert sent is not None
        assert re.fullmatch(wanted.replace("NOW", r"\d{13}"), sent)
        assert "NOW" not in wanted or int(sent.split(".")[2]) >= start


async def test_click_id_of_the_referrer(visit: Visit) -> None:
    """Without a click id in the address, that of the referrer is used."""
    await visit.open(path="/?fbclid=old")
    visit.site.html = f"<!doctype html><title>t</title><body><script>{STUB}{INIT}</script>"
    await visit.run('location.href = "/next";')
    await visit.page.wait_for_url("**/next")
    await visit.ready()
    await visit.run('fbq("track", "Lead");')

    assert [hit["fbc"].rsplit(".", 1)[1] for hit in await visit.finish()] == ["old"]


async def test_browser_id_is_kept(visit: Visit, context: BrowserContext) -> None:
    """An existing `_fbp` only gets a new expiry; its value stays, even with a fifth part from elsewhere."""
    stored = "fb.1.1700000000000.123456.AQIBAQIA"
    soon = time.time() + 60
    cookie: Any = {"name": "_fbp", "value": stored, "domain": ".shop.test", "path": "/", "expires": soon}
    await context.add_cookies([cookie])

    hits = await visit.play(INIT + 'fbq("track", "PageView");')

    assert [stored] == [hit["fbp"] for hit in hits]
    cookies = await cookies_of(context)
    assert cookies["_fbp"]["value"] == stored
    assert cookies["_fbp"]["expires"] > soon


async def test_no_cookie_without_the_option(visit: Visit, context: BrowserContext) -> None:
    """If the config does not ask for first-party cookies, none is made, and the hits have none."""
    visit.site.config = 'fbq.registerPlugin("PIXEL_ID", { plugin: (fbq, instance, id) => instance.configLoaded(id) });'

    hits = await visit.play(INIT + 'fbq("track", "PageView");', path="/?fbclid=abc")

    assert [(hit.get("fbp"), hit.get("fbc")) for hit in hits] == [(None, None)]
    assert await context.cookies() == []


async def test_needs_the_stub(visit: Visit) -> None:
    """Without the base code the script fails with an error of its own, as the real one does."""
    visit.site.html = '<!doctype html><title>t</title><body><script src="/pixel.js"></script>'

    await visit.page.goto(visit.site.url("www.shop.test"))

    assert len(visit.errors) == 1


async def test_state(visit: Visit) -> None:
    """`getState` lists each pixel and the events that it has sent."""
    await visit.play(TWO + 'fbq("track", "Lead");')

    pixels = (await visit.page.evaluate("fbq.getState()"))["pixels"]
    assert [(pixel["id"], pixel["eventCount"]) for pixel in pixels] == [("1", 2), ("2", 2)]


TAG = "window.tagSaw = [typeof fbq, typeof (window.fbq || {}).callMethod, window.fbq && fbq.queue.length];"
SEEN: dict[str, tuple[dict[str, str], list[Any]]] = {
    "tag first": ({"tag": "first"}, ["undefined", "undefined", None]),
    "tag late": ({"tag": "late"}, ["function", "function", 0]),
    "tag late, pixel blocked": ({"tag": "late", "pixel": "blocked"}, ["function", "undefined", 2]),
    "tag late, no config": ({"tag": "late", "pixel": "noconfig"}, ["function", "function", 1]),
}
REPORT = {
    "counted_once": 3,
    "counted_twice": 1,
    "browser_only": 1,
    "recovered": 1,
    "pairs": [
        {"name": "PageView", "id": "a" * 36, "browser": 1, "server": 1, "verdict": "pair", "first_at": 1000},
        {"name": "Lead", "id": "lead-1", "browser": 0, "server": 1, "verdict": "recovered", "first_at": 2000},
        {"name": "<b>Own</b>", "id": None, "browser": 1, "server": 0, "verdict": "browser_only", "first_at": 3000},
        {"name": "Purchase", "id": "order-1", "browser": 2, "server": 1, "verdict": "twice", "first_at": 4000},
    ],
    "match_keys": {"em": 1, "fbp": 3},
    "lint": [{"problem": "not_hashed", "field": "em"}, {"problem": "not_hashed", "field": "em"}],
}


@pytest.fixture(name="shop")
async def _shop(site: Site) -> AsyncIterator[str]:
    simulator = site.url("127.0.0.1")[:-1]
    settings = ShopSettings("1234567890", f"{simulator}/m.js", f"{simulator}/n.gif", simulator)
    server = TestServer(make_shop(settings))
    await server.start_server()
    yield f"http://www.shop.test:{server.port}"
    await server.close()


@pytest.mark.parametrize("case", SEEN)
async def test_shop_switches(visit: Visit, shop: str, case: str) -> None:
    """The shop's switches decide what the tag finds on the page when it runs."""
    switches, seen = SEEN[case]

    await visit.page.goto(f"{shop}/?{urlencode(switches)}")
    await visit.page.wait_for_function("window.tagSaw")

    assert await visit.page.evaluate("tagSaw") == seen


async def test_shop_purchase(visit: Visit, shop: str) -> None:
    """A walk through the shop makes the standard events, and the buyer's data goes with the purchase."""
    page = visit.page
    await page.goto(f"{shop}/product/fern?fbclid=abc")
    await page.click("#add-to-cart")
    await page.click("#added a")
    await page.click("#to-checkout")
    await page.fill("input[name=em]", "Ada@Example.com")
    async with page.expect_request(lambda request: "ev=Purchase" in request.url):
        await page.click("#place-order")

    assert [hit["ev"] for hit in visit.sent] == [
        *("PageView", "ViewContent", "AddToCart"),
        *("PageView", "InitiateCheckout"),
        "PageView",
        *("PageView", "Purchase"),
    ]
    purchase = visit.sent[-1]
    assert (purchase["cd[value]"], purchase["cd[currency]"]) == ("24", "USD")
    assert json.loads(purchase["cd[contents]"]) == [{"id": "fern", "quantity": 1, "item_price": 24}]
    assert purchase["cd[order_id]"].startswith("FH-")
    assert purchase["ud[em]"] == sha256("ada@example.com")
    assert {key for key in purchase if key.startswith("ud[")} == {f"ud[{key}]" for key in MATCHING} - {
        "ud[ge]",
        "ud[db]",
        "ud[external_id]",
    }
    assert purchase["fbc"].endswith(".abc")
    assert visit.errors == []
    assert visit.warnings == []


async def test_shop_tells_of_an_order_once(visit: Visit, shop: str) -> None:
    """Loading the thank-you page again is no second purchase."""
    await visit.page.goto(f"{shop}/product/fern")
    await visit.page.click("#add-to-cart")
    await visit.page.goto(f"{shop}/checkout")
    async with visit.page.expect_request(lambda request: "ev=Purchase" in request.url):
        await visit.page.click("#place-order")
    await visit.page.reload()
    await visit.ready()

    assert [hit["ev"] for hit in await visit.finish()].count("Purchase") == 1


async def test_shop_consent(visit: Visit, shop: str) -> None:
    """Nothing is sent before the banner's button is pressed, and the next page remembers the answer."""
    await visit.page.goto(f"{shop}/?consent=ask")
    await visit.page.wait_for_function("Boolean(fbq.callMethod)")
    assert visit.sent == []

    async with visit.page.expect_request("**/tr/?**"):
        await visit.page.click("#grant")
    async with visit.page.expect_request("**/tr/?**"):
        await visit.page.goto(f"{shop}/cart")

    assert not await visit.page.is_visible("#consent")
    assert [hit["ev"] for hit in visit.sent] == ["PageView", "PageView"]


async def test_shop_refusal(visit: Visit, shop: str) -> None:
    """A visitor who declines is not asked again, and nothing is sent."""
    await visit.page.goto(f"{shop}/?consent=ask")
    await visit.page.click("#decline")
    await visit.page.goto(f"{shop}/cart")
    await visit.page.wait_for_function("Boolean(fbq.callMethod)")

    assert not await visit.page.is_visible("#consent")
    assert visit.sent == []


async def test_events_page(visit: Visit, shop: str) -> None:
    """The events page lists each pair, newest first, in words; markup in an event is shown as text."""
    await visit.page.goto(f"{shop}/pairs")
    await visit.page.wait_for_selector("#rows tr")

    rows = [(await row.locator("th, td").all_inner_texts())[:5] for row in await visit.page.locator("#rows tr").all()]
    totals = await visit.page.locator(".totals dd").all_inner_texts()

    assert rows == [
        ["Purchase", "order-1", "✓ \N{MULTIPLICATION SIGN}2", "✓", "counted twice"],
        ["<b>Own</b>", "none", "✓", "none", "browser only"],
        ["Lead", "lead-1", "blocked", "✓", "browser copy blocked — recovered by the server copy"],
        ["PageView", "aaaaaa…aaaaaa", "✓", "✓", "counted once"],
    ]
    assert totals == ["3", "1", "1", "1"]
    assert await visit.page.locator(".chip").all_inner_texts() == ["em 1", "fbp 3"]
    assert await visit.page.locator("#lint li").all_inner_texts() == ["not hashed: em (2)"]
    assert visit.sent == []
