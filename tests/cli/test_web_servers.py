"""What ``snippet`` prints, in real nginx, Caddy and HAProxy in front of a real proxy, with the usual rules of sites."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from certificates import make_certificate
from machine import free_port
from real_servers import PREFIX, ServerSetup, caddy, haproxy, nginx, program_path, started
from servers import served, simulator
from support import ORIGIN, USER_AGENT, Installation, get_json, page_views, raw_config

from proxy.app import run_proxy
from proxy.cli import web_servers
from proxy.cli.web_servers import Location
from proxy.config import load
from proxy.edge.tag.build import tag_of
from proxy.rules.request import client_address

ROOT = Path(__file__).resolve().parents[2]
# An address of loopback that is neither the web server's nor the proxy's.
VISITOR = "127.0.0.9"
FORGED = "198.51.100.7"
INDEX = "<title>the site itself</title>"


def nginx_path(setup: ServerSetup) -> list[str]:
    """The printed rule beside rules for static files and for the routes of a single-page app."""
    rules = web_servers.filled(web_servers.NGINX_PATH + web_servers.NGINX_GPC, setup.location())
    return nginx(
        setup,
        f"""server {{
            listen 127.0.0.1:{setup.port} ssl http2;
            server_name shop.example;
            ssl_certificate {setup.certificate};
            ssl_certificate_key {setup.key};
            root {setup.directory}/site;
            location ~* \\.(js|css|gif|png|json)$ {{ expires 30d; try_files $uri =404; }}
            location / {{ try_files $uri /index.html; }}
            {rules}
        }}""",
    )


def nginx_host(setup: ServerSetup) -> list[str]:
    """The printed server for a host of its own; only the port and the certificate are the test's."""
    text = web_servers.filled(web_servers.NGINX_HOST, setup.location(host="t.shop.example"))
    text = text.replace("listen 443", f"listen 127.0.0.1:{setup.port}").replace("    listen [::]:443 ssl http2;\n", "")
    live = "/etc/letsencrypt/live/t.shop.example"
    text = text.replace(f"{live}/fullchain.pem", str(setup.certificate))
    return nginx(setup, text.replace(f"{live}/privkey.pem", str(setup.key)))


def caddy_path(setup: ServerSetup) -> list[str]:
    """The printed rule beside a top-level ``try_files``, a rewrite, and a ``handle`` for everything else."""
    rule = web_servers.filled(web_servers.CADDY_PATH, setup.location())
    return caddy(
        setup,
        f"""https://shop.example:{setup.port} {{
            bind 127.0.0.1
            tls {setup.certificate} {setup.key}
            root * {setup.directory}/site
            encode gzip
            try_files {{path}} /index.html
            handle /api/* {{
                respond "an interface"
            }}
            handle {{
                file_server
            }}
            {rule}
        }}""",
    )


def caddy_host(setup: ServerSetup) -> list[str]:
    """The printed server for a host of its own; only the port and the certificate are the test's."""
    text = web_servers.filled(web_servers.CADDY_HOST, setup.location(host="t.shop.example"))
    address = f"https://t.shop.example:{setup.port} {{\n bind 127.0.0.1\n tls {setup.certificate} {setup.key}\n"
    return caddy(setup, text.replace("t.shop.example {\n", address))


def haproxy_path(setup: ServerSetup) -> list[str]:
    return haproxy(setup, web_servers.filled(web_servers.HAPROXY_PATH, setup.location()), "http")


def haproxy_host(setup: ServerSetup) -> list[str]:
    place = setup.location(host="t.shop.example")
    return haproxy(setup, web_servers.filled(web_servers.HAPROXY_HOST, place), "http")


def haproxy_announcing(setup: ServerSetup) -> list[str]:
    """The printed rule, in front of a proxy that reads the PROXY protocol."""
    return haproxy(setup, web_servers.filled(web_servers.HAPROXY_PATH, setup.location(announces=True)), "http")


def haproxy_tcp(version: str) -> Callable[[ServerSetup], list[str]]:
    """HAProxy that passes bytes on unread, with a header of the PROXY protocol before them."""

    def run(setup: ServerSetup) -> list[str]:
        backend = f"    use_backend all\nbackend all\n    server proxy {setup.upstream} send-proxy{version}\n"
        return haproxy(setup, backend, "tcp", "http/1.1")

    return run


@dataclass(frozen=True)
class Front:
    """A web server in a usual configuration."""

    run: Callable[[ServerSetup], list[str]]
    host: str = "shop.example"
    announces: bool = False
    has_site: bool = True
    version: str = "2"


FRONTS = {
    "nginx, path": Front(nginx_path),
    "nginx, host": Front(nginx_host, host="t.shop.example", has_site=False),
    "Caddy, path": Front(caddy_path),
    "Caddy, host": Front(caddy_host, host="t.shop.example", has_site=False),
    "HAProxy, path": Front(haproxy_path),
    "HAProxy, host": Front(haproxy_host, host="t.shop.example", has_site=False),
    "HAProxy, path, PROXY protocol": Front(haproxy_announcing, announces=True),
    "HAProxy, TCP, PROXY protocol 1": Front(haproxy_tcp(""), announces=True, has_site=False, version="1.1"),
    "HAProxy, TCP, PROXY protocol 2": Front(haproxy_tcp("-v2"), announces=True, has_site=False, version="1.1"),
}


@pytest.fixture(name="certificate", scope="module")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for the site's names."""
    directory = tmp_path_factory.mktemp("certificate")
    make_certificate(directory, "shop.example", "t.shop.example")
    return directory


@dataclass(frozen=True)
class Answer:
    """The answer to a visitor."""

    status: int
    version: str
    headers: str
    body: bytes


@dataclass(frozen=True)
class Visit:
    """A visitor behind the web server, who forges the headers that a web server should write."""

    setup: ServerSetup
    front: Front

    async def ask(self, path: str, *options: str) -> Answer:
        port, head = self.setup.port, self.setup.directory / "head"
        process = await asyncio.create_subprocess_exec(
            *(program_path("curl"), "--silent", "--show-error", "--max-time", "10", "--http2", "--noproxy", "*"),
            *("--cacert", str(self.setup.certificate), "--interface", VISITOR),
            *("--resolve", f"{self.front.host}:{port}:127.0.0.1", "--dump-header", str(head)),
            *("--header", f"X-Forwarded-For: {FORGED}", "--header", "X-Forwarded-Host: forged.example"),
            *("--user-agent", USER_AGENT, *options, f"https://{self.front.host}:{port}{path}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        body, error = await process.communicate()
        assert process.returncode == 0, error.decode() + (self.setup.directory / "log").read_text()
        headers = head.read_text()
        version, status = headers.split()[:2]
        return Answer(int(status), version.removeprefix("HTTP/"), headers, body)


@pytest.fixture(name="open_to_meta")
def _open_to_meta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Treat loopback addresses as public ones, so that they are sent as visitors' addresses are."""
    monkeypatch.setattr(client_address, "_NON_PUBLIC", client_address.Networks())
    client_address._remembered.cache_clear()
    yield
    client_address._remembered.cache_clear()


@pytest.mark.usefixtures("open_to_meta")
@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
async def test_the_printed_rule_works_beside_what_sites_usually_have(
    front: Front, tmp_path: Path, certificate: Path
) -> None:
    """The tag is served, events get 204 and arrive with the visitor's own address, and the site still answers."""
    shutil.copytree(certificate, tmp_path, dirs_exist_ok=True)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text(INDEX)
    raw = raw_config("", tmp_path / "data", prefix=PREFIX)
    raw["server"]["proxy_protocol"] = front.announces
    async with simulator() as graph, served(site_of_pages()) as site, aiohttp.ClientSession() as session:
        raw["graph"]["url"] = graph
        loaded = load.parse(raw, {}, base=tmp_path)
        async with run_proxy(loaded) as proxy:
            setup = ServerSetup(tmp_path, free_port(), proxy.public.authority, site)
            async with started(setup, front.run(setup)):
                visit = Visit(setup, front)
                await check_doors(visit, tag_of(loaded.settings.site[0]).bodies[""])
                if front.has_site:
                    await check_site(visit)
                event = await only_event(Installation(session, graph, proxy))

    assert event["user_data"]["client_ip_address"] == VISITOR


def site_of_pages() -> web.Application:
    """Return a web server that answers every address with the page of a single-page app."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=INDEX, content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    return app


async def check_doors(visit: Visit, tag: bytes) -> None:
    script = await visit.ask(f"{PREFIX}/m.js")
    image = await visit.ask(f"{PREFIX}/n.gif", "--header", "Referer: https://elsewhere.example/")
    gpc = await visit.ask(web_servers.GPC_PATH)
    body = visit.setup.write("body", orjson.dumps(page_views(["only"])).decode())
    posted = await visit.ask(f"{PREFIX}/e", "--header", f"Origin: {ORIGIN}", "--data-binary", f"@{body}")

    assert (script.status, script.body, script.version) == (200, tag, visit.front.version)
    assert (image.status, b"referer" in image.body) == (403, True)
    assert (gpc.status, gpc.body) == (200, b'{"gpc": true}')
    assert (posted.status, posted.body) == (204, b"")
    assert "Domain=shop.example; Secure" in posted.headers


async def check_site(visit: Visit) -> None:
    for path in ("/", "/products/7", f"{PREFIX}-of-another"):
        page = await visit.ask(path)
        assert (page.status, page.body.decode()) == (200, INDEX)


async def only_event(proxy: Installation) -> dict[str, Any]:
    await proxy.counted(1)
    events = (await get_json(proxy.session, f"{proxy.graph}/sim/events"))["events"]
    (event,) = (event["event"] for event in events if event["source"] == "server")
    assert isinstance(event, dict)
    return event


ON_PATH = Location("127.0.0.1:8080", "shop.example", PREFIX)
ON_HOST = Location("127.0.0.1:8080", "shop.example", PREFIX, "t.shop.example")
DEPLOYED = {
    "nginx/upstream.conf": (web_servers.NGINX_UPSTREAM, ON_PATH),
    "nginx/location.conf": (f"{web_servers.NGINX_PATH}\n{web_servers.NGINX_GPC}", ON_PATH),
    "nginx/server.conf": (web_servers.NGINX_HOST, ON_HOST),
    "caddy/path.Caddyfile": (web_servers.CADDY_PATH, ON_PATH),
    "haproxy/path.cfg": (web_servers.HAPROXY_PATH, ON_PATH),
    "cloudflare/worker.js": (web_servers.CLOUDFLARE_PATH, ON_PATH),
}


def deployed(name: str) -> str:
    template, place = DEPLOYED[name]
    return web_servers.filled(template, place)


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_file_of_deploy_is_what_snippet_prints(name: str) -> None:
    """Each rule in deploy/ is what snippet prints for the example's names."""
    assert (ROOT / "deploy" / name).read_text() == deployed(name)


def test_caddy_of_compose_has_the_printed_block() -> None:
    """The Caddyfile for Docker Compose has the printed block, with the proxy's name in the network."""
    place = Location("proxy:8080", "shop.example", PREFIX, "t.shop.example")
    block = web_servers.filled(web_servers.CADDY_HOST, place)

    assert block.split("\n", 1)[1] in (ROOT / "deploy" / "Caddyfile").read_text()


def test_a_site_that_ignores_the_privacy_signal_gets_no_rule_for_it() -> None:
    """If a site does not honour the privacy signal, no printed rule sends its well-known path to the proxy."""
    texts = web_servers.rules(Location("127.0.0.1:8080", "shop.example", PREFIX, serves_gpc=False))

    assert [name for name, text in texts.items() if "gpc" in text] == []


def test_the_worker_asks_the_proxy_under_the_sites_own_name(tmp_path: Path) -> None:
    """The Cloudflare Worker sends the request with its URL unchanged, but to the host of the proxy."""
    (tmp_path / "worker.mjs").write_text(web_servers.filled(web_servers.CLOUDFLARE_PATH, ON_PATH))
    (tmp_path / "run.mjs").write_text(
        'import worker from "./worker.mjs";\n'
        "globalThis.fetch = (request, init) => ({ url: request.url, method: request.method, cf: init.cf });\n"
        'const request = new Request("https://shop.example/k7f2q9w3/e", { method: "POST", body: "{}" });\n'
        "process.stdout.write(JSON.stringify(worker.fetch(request)));\n"
    )
    done = subprocess.run([program_path("node"), str(tmp_path / "run.mjs")], capture_output=True, text=True, check=True)

    assert orjson.loads(done.stdout) == {
        "url": "https://shop.example/k7f2q9w3/e",
        "method": "POST",
        "cf": {"resolveOverride": "t.shop.example"},
    }
