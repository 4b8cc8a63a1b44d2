"""Runs page scripts beside different placements of the tag, and reports what each page and its Pixel saw.

A page is a frame, since hundreds of tabs would take minutes: all pages of one placement are frames of one tab.

More than 250 lines: the scripts that run in the pages stand beside the code that reads their results.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lab import Lab
from playwright.async_api import Browser, ConsoleMessage, Frame, Page, Request
from polling import until
from shop_page import COLLECT_PATH, STUB, TAG_PATH, TAKEN_OVER, script

PLACEMENTS = {
    "none": "",
    "trap": "TRAP",  # and the tag after the Pixel has taken over
    "snippet": f'TRAP<script async src="{TAG_PATH}" onload="lab.heard()"></script>',  # before the Pixel
    "sync": f'<script src="{TAG_PATH}"></script>',
    "early": f'<script async src="{TAG_PATH}" onload="lab.heard()"></script>',  # before the Pixel
    "late": "",  # after the Pixel has taken over
}
AT_ONCE = 12
STUBBED = script(f"(function () {{ {STUB} lab.load() }})()")

# Stands first in each page and records everything that the page can see, under the one name `lab`.
RECORDER = """
var taken = [];
var lab = { placement: "PLACEMENT", name, seen: [], log: [], failed: false };
lab.tagged = new Promise((resolve) => { lab.heard = resolve });
lab.script = (src) => new Promise((resolve) => {
  var s = document.createElement("script"); s.async = true; s.src = src;
  s.onload = resolve; s.onerror = () => resolve(lab.failed = true);
  var first = document.getElementsByTagName("script")[0]; first.parentNode.insertBefore(s, first);
});
lab.load = async (src) => {
  if (/snippet|early/.test(lab.placement)) await lab.tagged;
  return lab.script(src || "/fbevents.js?calls=taken");
};
lab.when = async (look) => {
  for (var end = Date.now() + 15000; Date.now() < end; await new Promise((r) => setTimeout(r, 4))) if (look()) return;
  lab.log.push("never: " + look);
};
lab.ready = () => lab.when(() => TAKEN_OVER);
lab.see = (...values) => lab.seen.push(...values.map((value) => lab.plain(value)));
lab.plain = (value, depth = 0) => {
  if (typeof value == "function" || typeof value == "bigint") return typeof value;
  if (value === undefined) return "<undefined>";
  if (typeof value != "object" || value === null) return value;
  if (depth > 5) return "<deep>";
  var got = (key) => { try { return lab.plain(value[key], depth + 1) } catch { return "<thrown>" } };
  if (Array.isArray(value) || String(value) == "[object Arguments]") return Array.from(value, (_, at) => got(at));
  return Object.fromEntries(Object.keys(value).map((key) => [key, got(key)]));
};
for (const level of ["log", "info", "warn", "error"]) {
  const real = console[level];
  console[level] = (...texts) => { lab.log.push([level, ...texts].join(" ")); real.apply(console, texts) };
}
addEventListener("error", (event) => event.message && lab.log.push(event.message));
addEventListener("unhandledrejection", (event) => lab.log.push("rejected: " + event.reason));
lab.before = Object.getOwnPropertyNames(window);
lab.drive = async (ready, late, then) => {
  await lab.when(ready);
  if (/trap|late/.test(lab.placement)) await lab.script("TAG");
  if (/snippet|early/.test(lab.placement)) await lab.tagged;
  try { await late() } catch (error) { lab.log.push(String(error)) }
  await lab.when(then);
  window.fbq && fbq("trackCustom", "End");
  parent.postMessage(lab.name, "*");
};
lab.result = () => {
  var names = Object.getOwnPropertyNames(window).filter((name) => !lab.before.includes(name) && name != "fbq");
  var ours = /^(callMethod|queue|disablePushState)$/;
  var own = window.fbq ? Object.getOwnPropertyNames(fbq).filter((name) => !ours.test(name)) : [];
  var { enumerable } = (window.fbq && Object.getOwnPropertyDescriptor(window, "fbq")) || {};
  return {
    seen: lab.seen, log: lab.log, taken: lab.plain(taken), names: names.sort(),
    own: own.sort().map((name) => [name, typeof fbq[name], fbq.propertyIsEnumerable(name)]),
    facts: [enumerable, window.fbq === window._fbq, typeof window.fbq],
    waiting: window.fbq && fbq.queue ? Array.from(fbq.queue, (call) => lab.plain(call)) : null,
  };
};
"""
# Shows pages, waits until each is finished, and returns the names of those that did not finish.
SHOW = """(pages) => new Promise((resolve) => {
  const waiting = new Set(pages.map(([name]) => name));
  const look = () => waiting.size || resolve([]);
  addEventListener("message", ({ data }) => { waiting.delete(data); look() });
  setTimeout(() => resolve([...waiting]), 30000);
  document.body.replaceChildren(...pages.map(([name, src]) =>
    Object.assign(document.createElement("iframe"), { name, src })));
})"""
RESULT = "(() => { try { return lab.result() } catch (error) { return { never: String(error) } } })()"


@dataclass(frozen=True)
class Scenario:
    """One page: its parts ("" is the tag with its trap once more), and what runs after the Pixel took over."""

    parts: Sequence[str]
    late: str = ""
    fires: str = ""  # pixel and name of each event that the Pixel sends
    ready: str = TAKEN_OVER
    then: str = TAKEN_OVER
    mirrors: str | None = None  # the events that the tag sends where the Pixel cannot
    ends: bool = True  # whether the Pixel still sends at the end
    lost: str = ""  # a pixel whose init a stub threw away: the Pixel never knows it, but a tag that heard the init does

    def html(self, placement: str, trap: str) -> str:
        """Return the page with the tag in this placement."""
        recorder = (
            RECORDER.replace("PLACEMENT", placement).replace("TAKEN_OVER", TAKEN_OVER).replace('"TAG"', f'"{TAG_PATH}"')
        )
        drive = f"lab.drive(() => {self.ready}, async () => {{ {self.late} }}, () => {self.then})"
        head = PLACEMENTS[placement].replace("TRAP", trap)
        again = "" if placement == "none" else trap + PLACEMENTS["sync"]
        return "".join(
            [
                "<!doctype html><head>",
                script(recorder),
                head,
                *(part or again for part in self.parts),
                "</head><body>",
                script(drive),
                "</body>",
            ]
        )


@dataclass
class Account:
    """What one page saw and sent."""

    view: dict[str, Any] = field(default_factory=dict)
    fired: list[dict[str, str]] = field(default_factory=list)
    mirrored: list[dict[str, Any]] = field(default_factory=list)
    early: int = 0
    """How many events the Pixel had sent when a late tag was requested."""

    @property
    def names(self) -> list[str]:
        """Pixel and name of each event that the Pixel sent, in order."""
        return [f"{hit['id']} {hit['ev']}" for hit in self.fired if hit["ev"] != "End"]

    @property
    def mirrored_names(self) -> list[str]:
        """Pixel and name of each mirrored event, in order."""
        return [f"{pixel} {event['name']}" for event in self.mirrored for pixel in event["pixels"] if not _last(event)]

    @property
    def mirrored_pairs(self) -> list[tuple[str, str, str]]:
        """Pixel, name and id of each mirrored event."""
        return sorted((pixel, event["name"], event["id"]) for event in self.mirrored for pixel in event["pixels"])

    @property
    def own(self) -> list[dict[str, str]]:
        """The Pixel's hits for calls of the page since the tag was there; the Pixel's own events cannot get an id."""
        return [hit for hit in self.fired[self.early :] if "es" not in hit]


def _path(placement: str, name: str) -> str:
    return f"/{placement}/{name.replace(' ', '_')}"


def _last(event: Mapping[str, Any]) -> bool:
    return bool(event["name"] == "End")


@dataclass
class Tab:
    """All pages of one placement."""

    lab: Lab
    page: Page
    placement: str
    accounts: dict[str, Account] = field(default_factory=dict)
    console: list[str] = field(default_factory=list)

    def note(self, request: Request) -> None:
        """Note the page's hits, batches and tag request, in order."""
        address = urlsplit(request.url)
        if address.path not in {"/tr/", COLLECT_PATH, TAG_PATH}:
            return
        # An event that is too long for an address is posted by the Pixel from a frame inside the page's frame.
        frame = request.frame if request.frame.name in self.accounts else request.frame.parent_frame
        assert frame
        account = self.accounts[frame.name]
        if address.path == "/tr/":
            account.fired.append(dict(parse_qsl(request.post_data or address.query, keep_blank_values=True)))
        elif address.path == COLLECT_PATH:
            account.mirrored.extend(json.loads(request.post_data or "{}").get("events", []))
        elif self.placement == "late":
            account.early = len(account.fired)

    def hear(self, message: ConsoleMessage) -> None:
        """Note a console message, with its digits replaced by 0."""
        self.console.append(re.sub(r"\d+", "0", message.text))

    async def show(self, scenarios: Mapping[str, Scenario]) -> None:
        """Open pages side by side and wait for the last event of each."""
        for name in scenarios:
            self.accounts[name] = Account()
        late = await self.page.evaluate(SHOW, [[name, self._address(name)] for name in scenarios])
        self.accounts |= {name: Account({"never": "done"}) for name in late}
        frames = {frame.name: frame for frame in self.page.frames}
        await asyncio.gather(*(self._end(frames[name], scenario) for name, scenario in scenarios.items()))

    def _address(self, name: str) -> str:
        # Each page has a host of its own, so that it does not find what another page stored.
        host = f"{list(self.accounts).index(name)}-{self.placement}.shop.test"
        return self.lab.url(_path(self.placement, name), host)

    async def _end(self, frame: Frame, scenario: Scenario) -> None:
        account = self.accounts[frame.name]
        mirroring = self.placement != "none" and (scenario.ends or scenario.mirrors is not None)

        def ended() -> bool:
            fired = not scenario.ends or any(hit["ev"] == "End" for hit in account.fired)
            return fired and (not mirroring or any(map(_last, account.mirrored)))

        try:
            await until(ended, what=f"the end of {frame.name}, {self.placement}", seconds=15)
        except TimeoutError as failed:
            account.view["never"] = str(failed)
        account.view |= await asyncio.wait_for(frame.evaluate(RESULT), 30)


async def run(
    browser: Browser, lab: Lab, scenarios: Mapping[str, Scenario], placements: Iterable[str], **context: Any
) -> dict[str, Tab]:
    """Open every page in every placement; return a tab for each placement."""
    trap = lab.trap
    for placement in placements:
        for name, scenario in scenarios.items():
            lab.pages[_path(placement, name)] = scenario.html(placement, trap)
    lab.pages["/"] = "<!doctype html><link rel=icon href=data:,><body></body>"
    return {placement: await _tab(browser, lab, placement, scenarios, **context) for placement in placements}


async def _tab(browser: Browser, lab: Lab, placement: str, scenarios: Mapping[str, Scenario], **context: Any) -> Tab:
    lab.release.clear()
    here = await browser.new_context(**context)
    tab = Tab(lab, await here.new_page(), placement)
    tab.page.on("request", tab.note)
    tab.page.on("console", tab.hear)
    await tab.page.goto(lab.url())
    names = list(scenarios)
    for start in range(0, len(names), AT_ONCE):
        await tab.show({name: scenarios[name] for name in names[start : start + AT_ONCE]})
    await here.close()
    return tab
