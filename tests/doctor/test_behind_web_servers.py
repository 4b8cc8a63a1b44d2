"""The doctor's findings through real nginx, Caddy and HAProxy: configured as printed, and configured wrongly."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from certificates import make_certificate
from machine import free_port
from name_server import Zone, name_server
from real_servers import PREFIX, ServerSetup, caddy, haproxy, nginx, started
from servers import served
from support import raw_config

from proxy.app import run_proxy
from proxy.cli import web_servers
from proxy.config import load
from proxy.doctor import ExaminationOptions, Finding, examine
from proxy.doctor.catalogue import GROUP_OF
from proxy.doctor.web.network_access import NetworkAccess
from proxy.edge.tag.build import trap_of
from proxy.simulator.graph.app import make_app

ROOT = Path(__file__).resolve().parents[2]
HOST, OWN_HOST = "shop.example", "t.shop.example"
ZONE: Zone = {name: ["A 93.184.216.34", "AAAA 2606:2800:220:1::7"] for name in (HOST, OWN_HOST)}
PUBLIC = {"names", "tls", "tag", "page", "round_trip"}


def nginx_site(setup: ServerSetup, rules: str, tls: str = "") -> list[str]:
    return nginx(
        setup,
        f"""server {{
            listen 127.0.0.1:{setup.port} ssl;
            server_name {HOST};
            ssl_certificate {setup.certificate};
            ssl_certificate_key {setup.key};
            {tls}
            root {setup.directory}/site;
            location ~* \\.(js|css|gif|png|json)$ {{ expires 30d; try_files $uri =404; }}
            location / {{ try_files $uri /index.html; }}
            {rules}
        }}""",
    )


def nginx_good(setup: ServerSetup) -> list[str]:
    return nginx_site(setup, web_servers.filled(web_servers.NGINX_PATH, setup.location()))


def nginx_without_rule(setup: ServerSetup) -> list[str]:
    """Without the printed rule the site's rule for static files takes the tag, and its rule for pages the events."""
    return nginx_site(setup, "")


def nginx_careless(setup: ServerSetup) -> list[str]:
    """A rule that passes on forged forwarding headers, hides Set-Cookie, caches for 30 days, and allows old TLS."""
    rule = f"""location ^~ {PREFIX}/ {{
        proxy_pass http://{setup.upstream};
        proxy_set_header X-Forwarded-For $http_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $http_x_forwarded_host;
        proxy_hide_header Set-Cookie;
        expires 30d;
    }}"""
    return nginx_site(setup, rule, "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;")


def nginx_minifying(setup: ServerSetup) -> list[str]:
    """A rule that rewrites the tag and serves it uncompressed."""
    rule = web_servers.filled(web_servers.NGINX_PATH, setup.location())
    more = "sub_filter_types *; sub_filter_once off; sub_filter 'function' 'function '; sub_filter 'return' 'return  ';"
    return nginx_site(setup, rule.replace("proxy_pass", f'proxy_set_header Accept-Encoding ""; {more} proxy_pass', 1))


def caddy_site(setup: ServerSetup, rule: str) -> list[str]:
    return caddy(
        setup,
        f"""https://{HOST}:{setup.port} {{
            bind 127.0.0.1
            tls {setup.certificate} {setup.key}
            root * {setup.directory}/site
            {rule}
        }}""",
    )


def caddy_good(setup: ServerSetup) -> list[str]:
    rule = web_servers.filled(web_servers.CADDY_PATH, setup.location())
    return caddy_site(setup, f"try_files {{path}} /index.html\nhandle {{\nfile_server\n}}\n{rule}")


def caddy_catching_all(setup: ServerSetup) -> list[str]:
    """The routing rule of a single-page app rewrites the path before the proxy's rule can match it."""
    rule = f"handle {PREFIX}/* {{\nreverse_proxy {setup.upstream}\n}}"
    return caddy_site(setup, f"try_files {{path}} /index.html\n{rule}\nhandle {{\nfile_server\n}}")


def haproxy_good(setup: ServerSetup) -> list[str]:
    return haproxy(setup, web_servers.filled(web_servers.HAPROXY_PATH, setup.location()), "http")


def haproxy_host(setup: ServerSetup) -> list[str]:
    return haproxy(setup, web_servers.filled(web_servers.HAPROXY_HOST, setup.location(host=OWN_HOST)), "http")


def haproxy_without_cookies(setup: ServerSetup) -> list[str]:
    """A rule that removes cookies, caching headers and the visitor's address, and changes Host and SameSite."""
    rule = web_servers.filled(web_servers.HAPROXY_PATH, setup.location())
    rule = "\n".join(line for line in rule.splitlines() if "X-Forwarded-For" not in line)
    more = """    http-request del-header Cookie
    http-request set-header Host internal.shop.example
    http-response del-header Cache-Control
    http-response replace-header Set-Cookie (.*)SameSite=Lax(.*) \\1SameSite=None\\2
"""
    return haproxy(setup, rule.replace("    timeout connect 2s\n", f"{more}    timeout connect 2s\n"), "http")


def haproxy_host_improved(setup: ServerSetup) -> list[str]:
    """A server that adds CORS headers of its own to those of the proxy."""
    rule = web_servers.filled(web_servers.HAPROXY_HOST, setup.location(host=OWN_HOST))
    more = "    http-response add-header Access-Control-Allow-Origin *\n    timeout connect 2s\n"
    return haproxy(setup, rule.replace("    timeout connect 2s\n", more), "http")


@dataclass(frozen=True)
class Case:
    """A configuration, and the findings that are expected."""

    run: Callable[[ServerSetup], list[str]]
    codes: Sequence[str] = ()
    base: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the page."""


CASES = {
    "nginx as printed": Case(nginx_good),
    "Caddy as printed": Case(caddy_good),
    "HAProxy as printed": Case(haproxy_good),
    "HAProxy as printed, a host of its own": Case(haproxy_host, base=f"https://{OWN_HOST}"),
    "nginx without the rule": Case(nginx_without_rule, ["tag_not_found", "collect_not_proxied", "probe_unseen"]),
    "nginx, careless": Case(
        nginx_careless,
        [
            *("host_changed", "scheme_unknown", "cookie_stripped", "address_header_missing"),
            *("address_forgeable", "host_forgeable", "tag_kept_long", "tls_old_protocol"),
        ],
    ),
    "nginx that rewrites scripts": Case(nginx_minifying, ["tag_changed", "tag_not_compressed"]),
    "Caddy that catches all": Case(caddy_catching_all, ["tag_is_page", "collect_not_proxied", "probe_unseen"]),
    "HAProxy without cookies": Case(
        haproxy_without_cookies,
        ["cookie_not_forwarded", "cookie_changed", "address_header_missing", "address_forgeable", "tag_not_kept"],
    ),
    "HAProxy that improves": Case(haproxy_host_improved, ["cors_changed"], base=f"https://{OWN_HOST}"),
    "a page whose policy forbids all": Case(
        haproxy_good,
        ["csp_script", "csp_trap", "csp_connect", "csp_image"],
        headers={"Content-Security-Policy": "default-src 'none'"},
    ),
}


@asynccontextmanager
async def site_of_pages(body: str, headers: Mapping[str, str]) -> AsyncIterator[str]:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="text/html", headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    async with served(app) as address:
        yield address


@asynccontextmanager
async def redirecting() -> AsyncIterator[int]:
    """Serve plain HTTP as sites do, with a redirect to https; yield the port."""

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": f"https://{request.host}{request.path}"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    async with served(app) as address:
        yield int(address.rpartition(":")[2])


async def found(case: Case, directory: Path) -> list[Finding]:
    """Return the findings for the public addresses of a configuration."""
    make_certificate(directory, HOST, OWN_HOST)
    async with served(make_app()) as graph:
        raw = raw_config(graph, directory / "data", prefix=PREFIX, domains=[HOST])
        config = load.parse(raw, {}, base=directory)
        tag = f'<script async src="{case.base}{PREFIX}/m.js"></script>'
        pixel = "<script>fbq('init','1234567890')</script>"
        body = f"<!doctype html><script>{trap_of(config.settings.site[0])}</script>{tag}{pixel}"
        (directory / "site").mkdir()
        (directory / "site" / "index.html").write_text(body)
        async with run_proxy(config) as proxy, site_of_pages(body, case.headers) as site, redirecting() as plain:
            setup = ServerSetup(directory, free_port(), proxy.public.authority, site)
            async with started(setup, case.run(setup)), name_server(ZONE) as server:
                ends = {(host, 443): ("127.0.0.1", setup.port) for host in (HOST, OWN_HOST)}
                ends |= {(host, 80): ("127.0.0.1", plain) for host in (HOST, OWN_HOST)}
                ways = NetworkAccess(ends, server, str(setup.certificate))
                examined = await examine(config, ExaminationOptions(ways, case.base or f"https://{HOST}", is_own=True))
    return [finding for finding in examined.findings if GROUP_OF[finding.code] in PUBLIC]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_set_up_is_told_from_a_broken_one(case: Case, tmp_path: Path) -> None:
    """With the printed configuration nothing is found; with a broken one each fault is found, and nothing else."""
    all_found = await found(case, tmp_path)

    assert sorted(finding.code for finding in all_found) == sorted(case.codes), [str(each) for each in all_found]


CONFIG = """
[server]
listen = "127.0.0.1:{public}"
operator_listen = "127.0.0.1:{operator}"
trusted_proxies = ["127.0.0.1/32"]
secret = "4f1c0b6e9d2a8375c1e0f9b8a7d6e5c4b3a291807f6e5d4c3b2a190817263544"
[graph]
url = "{graph}"
[[site]]
name = "shop"
domains = ["shop.example"]
prefix = "{prefix}"
public_url = "https://shop.example"
[[site.pixel]]
id = "1234567890"
access_token = "a-token"
"""


@pytest.mark.parametrize(
    ("run", "code"), [(nginx_good, 0), (nginx_without_rule, 1)], ids=["as printed", "without the rule"]
)
async def test_the_command_goes_the_way_of_visitors(
    run: Callable[[ServerSetup], list[str]], code: int, tmp_path: Path
) -> None:
    """``check``, run as a command while the proxy runs behind its web server, ends with a true last line."""
    make_certificate(tmp_path, HOST)
    path = tmp_path / "config.toml"
    async with served(make_app()) as graph, site_of_pages("", {}) as site, redirecting() as plain:
        path.write_text(CONFIG.format(public=free_port(), operator=free_port(), graph=graph, prefix=PREFIX))
        path.chmod(0o600)
        config = load.load(path, {})
        tag = f'<script async src="{PREFIX}/m.js"></script><script>fbq("init", "1234567890")</script>'
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "index.html").write_text(f"<script>{trap_of(config.settings.site[0])}</script>{tag}")
        async with run_proxy(config) as proxy, name_server(ZONE) as (address, port):
            setup = ServerSetup(tmp_path, free_port(), proxy.public.authority, site)
            async with started(setup, run(setup)):
                ends = [f"{HOST}:443:127.0.0.1:{setup.port}", f"{HOST}:80:127.0.0.1:{plain}"]
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "proxy", "check", "--config", str(path), "--json"),
                    *(part for end in ends for part in ("--connect-to", end)),
                    *("--nameserver", f"{address}:{port}"),
                    env={**os.environ, "SSL_CERT_FILE": str(setup.certificate), "PYTHONPATH": str(ROOT)},
                    stdout=asyncio.subprocess.PIPE,
                )
                out, _ = await process.communicate()
    report = orjson.loads(out)
    public = {each["code"] for each in report["findings"] if each["group"] in PUBLIC}

    assert process.returncode == code
    assert bool(report["counts"]["failure"]) is bool(code)
    assert public == (set() if code == 0 else {"tag_not_found", "collect_not_proxied", "probe_unseen"})
