"""A real Firefox, with or without Debian's uBlock Origin, before a shop whose every request passes through one front.

The front is the browser's HTTP proxy: the shop's names need no DNS, as if they had address records, and nothing leaves
the machine. What the front was asked for is what the blocker let through. Each page asks the front where to go next,
so a test leads the browser without a remote control, which Debian does not have for it.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import hdrs, web
from support import VISITOR_ADDRESS, until

EXTENSIONS = Path("/usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}")
UBLOCK = EXTENSIONS / "uBlock0@raymondhill.net"
Preference = bool | int | str

QUIET: dict[str, Preference] = {
    "app.normandy.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.security.https_first": False,
    "extensions.autoDisableScopes": 0,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
    "xpinstall.signatures.required": False,
}
GPC: dict[str, Preference] = {
    "privacy.globalprivacycontrol.enabled": True,
    "privacy.globalprivacycontrol.functionality.enabled": True,
}
# A page that has loaded everything says so by asking where to go, and goes there.
NEXT = """<script>
function next() { fetch("/next" + location.pathname).then((answer) => answer.text()).then((to) => location.assign(to)) }
</script>"""
# Until a blocker's lists are loaded it lets everything pass, so the first page waits for that.
WAIT = """<script>
function ask() {
  fetch("/tr?id=1&ev=PageView&once=" + Math.random()).then(() => setTimeout(ask, 100), next);
}
ask();
</script>"""
START = "/start"


@dataclass(frozen=True)
class Arrival:
    """A request that reached the front, and the status of its answer."""

    host: str
    method: str
    path: str
    status: int
    headers: Mapping[str, str]


@dataclass
class Front:
    """The shop's web server, which passes every request below the prefix on to the real proxy."""

    session: aiohttp.ClientSession
    behind: str
    prefix: str
    pages: dict[str, str] = field(default_factory=dict)
    policy: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    port: int = 0
    _ways: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)

    async def asked(self, page: str, *, seconds: float = 60) -> None:
        """Wait until a page asks where to go next."""
        await until(lambda: page in self._ways, seconds=seconds, what=f"Firefox is done with {page}")

    async def lead(self, page: str, to: str, *, seconds: float = 60) -> None:
        """Send the browser from one page to another, once the first page asks where to go next."""
        await self.asked(page, seconds=seconds)
        self._ways[page].set_result(to)

    async def saw(self, host: str, method: str, path: str) -> None:
        """Wait until a request for this path was answered."""
        await until(lambda: path in self.paths(host, method=method), what=f"{method} {path} at {host}")

    async def saw_some(self, host: str, method: str, start: str, *, seconds: float) -> None:
        """Wait until a request was answered whose path, with its query, begins with ``start``."""

        def answered() -> bool:
            return any(path.startswith(start) for path in self._addresses(host, method))

        await until(answered, seconds=seconds, what=f"{method} {start}… at {host}")

    def paths(self, host: str, *, method: str = "GET") -> list[str]:
        """Return the paths requested from a host with one method, without their queries."""
        return [path.partition("?")[0] for path in self._addresses(host, method)]

    def _addresses(self, host: str, method: str) -> list[str]:
        """Return the paths requested from a host with one method, with their queries."""
        return [arrival.path for arrival in self.arrivals if (arrival.host, arrival.method) == (host, method)]

    def answers(self, host: str) -> set[tuple[str, str, int]]:
        """Return the method, path and status of all requests below the prefix of a host."""
        return {
            (arrival.method, arrival.path.removeprefix(f"{self.prefix}/"), arrival.status)
            for arrival in self.arrivals
            if arrival.host == host and arrival.path.startswith(f"{self.prefix}/")
        }

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        response = await self._response(request)
        host = request.host.partition(":")[0]
        path = request.path_qs if request.query_string else request.path
        self.arrivals.append(Arrival(host, request.method, path, response.status, request.headers))
        return response

    async def _response(self, request: web.Request) -> web.Response:
        if request.path.startswith(f"{self.prefix}/"):
            return await self._forward(request)
        if request.path.startswith("/next/"):
            way: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._ways[request.path.removeprefix("/next")] = way
            return web.Response(text=await way)
        if request.path in self.pages:
            headers = {"Content-Security-Policy": self.policy} if self.policy else {}
            return web.Response(text=self.pages[request.path], content_type="text/html", headers=headers)
        # Only the shop is reachable.
        if not request.host.partition(":")[0].endswith("acmeshop.com"):
            return web.Response(status=502)
        kind = "text/javascript" if request.path.endswith(".js") else "text/plain"
        return web.Response(text="", content_type=kind)

    async def _forward(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        headers["X-Forwarded-For"] = VISITOR_ADDRESS
        async with self.session.request(
            request.method, f"{self.behind}{request.path_qs}", data=await request.read(), headers=headers
        ) as answer:
            passed = [(name, value) for name, value in answer.headers.items() if name not in _BODY]
            response = web.Response(status=answer.status, body=await answer.read())
        for name, value in passed:
            response.headers.add(name, value)
        return response


_HOP = {hdrs.CONNECTION, hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, "Proxy-Connection"}
# The client session has unpacked the body.
_BODY = {hdrs.CONNECTION, hdrs.CONTENT_ENCODING, hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.DATE, hdrs.SERVER}


def document(*parts: str) -> str:
    """Return a page of these parts that asks where to go once each of them has loaded or failed."""
    return f'<!doctype html><head><link rel=icon href=data:,>{NEXT}{"".join(parts)}</head><body onload="next()"></body>'


@asynccontextmanager
async def fronted(behind: str, prefix: str) -> AsyncIterator[Front]:
    """Serve a shop in front of a proxy; pages can be added to it later."""
    async with aiohttp.ClientSession() as session:
        wait = f"<!doctype html><head><link rel=icon href=data:,>{NEXT}{WAIT}</head>"
        front = Front(session, behind, prefix, {START: wait})
        runner = web.AppRunner(front.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        front.port = runner.addresses[0][1]
        try:
            yield front
        finally:
            await runner.cleanup()


def resolved(front: Front, aliases: Sequence[str] = ()) -> dict[str, Preference]:
    """Return the preferences by which host names lead to the front.

    The blocker sees no DNS record of a name that the HTTP proxy resolves. The browser resolves the ``aliases`` itself
    and tells the blocker the canonical name "localhost", as it would for a CNAME that leads to another party.
    """
    proxied = {f"network.proxy.{kind}": "127.0.0.1" for kind in ("http", "ssl")}
    ports = {f"network.proxy.{kind}_port": front.port for kind in ("http", "ssl")}
    names = ",".join(aliases)
    return {
        "network.proxy.type": 1,
        **proxied,
        **ports,
        "network.proxy.no_proxies_on": names,
        "network.dns.localDomains": names,
    }


@asynccontextmanager
async def firefox(
    directory: Path, address: str, preferences: Mapping[str, Preference], *, blocker: bool
) -> AsyncIterator[None]:
    """Run Firefox with a fresh profile on one address."""
    program = shutil.which("firefox-esr")
    assert program, "firefox-esr is missing: run `make unit`, which installs it"
    assert UBLOCK.is_dir(), "webext-ublock-origin-firefox is missing: run `make unit`, which installs it"
    _make_profile(directory, QUIET | {"extensions.enabledScopes": 15 if blocker else 0} | dict(preferences))
    process = await asyncio.create_subprocess_exec(
        *(program, "--headless", "--no-remote", "--profile", str(directory), address),
        env={**os.environ, "HOME": str(directory), "MOZ_CRASHREPORTER_DISABLE": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        await _end(process)


def _make_profile(directory: Path, preferences: Mapping[str, Preference]) -> None:
    directory.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
    (directory / "user.js").write_text("".join(lines))


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the browser with all its processes, which share a group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)
            return
