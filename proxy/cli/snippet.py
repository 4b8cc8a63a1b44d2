"""The command ``snippet``: the tag's HTML to paste, and the rules for the web server in front of the proxy."""

import re
from pathlib import Path

import click

from proxy.cli import web_servers
from proxy.cli.options import TOKENS, config_option, load_or_exit
from proxy.cli.output import fail
from proxy.config.load import Config
from proxy.config.schema import Settings, Site
from proxy.edge.tag.build import trap_of
from proxy.installation import Installation

_HOST = re.compile(r"(?:https://)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?)/?")

_TAG = """\
<!-- 1. In the template, right before Meta's base code; the first line keeps the calls until the tag is there: -->
<script>{trap}</script>
<script async src="{base}{prefix}/{site.tag_name}"></script>
"""

_TAG_WITH_PIXEL = """\
<!-- 1. In the site's template, in place of Meta's base code, which the tag brings along: -->
<script src="{base}{prefix}/{site.tag_name}"></script>
"""

_IMAGE = """\
<!-- 2. In place of the image in Meta's <noscript>, which would count the visit a second time: -->
<noscript><img src="{base}{prefix}/{site.image_name}" height="1" width="1" style="display:none" alt=""></noscript>
"""

_LOOPBACK = '["127.0.0.1/32", "::1/128"]'
_RULES = """\
3. One of these rules, for the web server in front of the proxy. In the proxy's configuration, below [server]:
       listen = "{listen}"
       trusted_proxies = {trusted}
"""


def _host_name(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Return the host name in a value, which may also be an address such as ``https://t.shop.example/``."""
    match = _HOST.fullmatch(value.lower())
    if value and not match:
        raise click.BadParameter(f"{value!r}; accepted: a host name such as t.shop.example")
    return match[1] if match else ""


@click.command()
@config_option
@click.option("--site", "name", default="", help="Name of the site; needed when there are several.")
@click.option(
    "--host", default="", callback=_host_name, help="The proxy's own host name; else a path of the site itself."
)
def snippet(path: Path, name: str, host: str) -> None:
    """Print the HTML to paste, and the rules for the web server in front."""
    config = load_or_exit(path, (*TOKENS, "operator_password"))
    site = _chosen_site(config.settings, name)
    click.echo(snippet_text(config.settings, site, trap_of(site), _prefix(config, site), host))


def _chosen_site(settings: Settings, name: str) -> Site:
    sites = {site.name: site for site in settings.site}
    if not name and len(sites) > 1:
        raise click.UsageError(f"--site: missing; accepted: {', '.join(sites)}")
    site = sites.get(name or next(iter(sites)))
    if site is None:
        raise click.UsageError(f"--site: {name!r}; accepted: {', '.join(sites)}")
    return site


def _prefix(config: Config, site: Site) -> str:
    try:
        installation = Installation.existing(config)
    except OSError as error:
        fail(f"{error}; run it as the user the proxy runs as")
    if not installation.secret and not site.prefix:
        fail(
            "the path comes from server.secret, which is not set, and none was made in"
            f" {config.data_dir} yet: set one (openssl rand -hex 32), or start the proxy once"
        )
    return installation.prefixes(site)[0]


def snippet_text(settings: Settings, site: Site, trap: str, prefix: str, host: str) -> str:
    """Return the text to paste for one site.

    Args:
        settings: The whole configuration.
        site: One of its sites.
        trap: The script that stands in the page of that site.
        prefix: The public path of that site.
        host: The proxy's own name; empty for a path of the site.
    """
    values = {"site": site, "trap": trap, "prefix": prefix, "base": f"https://{host}" if host else ""}
    html = (_TAG_WITH_PIXEL if site.load_pixel else _TAG, _IMAGE)
    return "\n".join([*(part.format(**values) for part in html), _rules(settings, site, prefix, host)])


def _rules(settings: Settings, site: Site, prefix: str, host: str) -> str:
    server = settings.server
    listen = server.listen.local_address
    location = web_servers.Location(
        listen.authority,
        site.domains[0],
        prefix,
        host.partition(":")[0],
        serves_gpc=site.gpc != "ignore",
        announces=server.proxy_protocol,
    )
    trusted = _LOOPBACK if listen.is_loopback else "[the web server's address, as the proxy sees it]"
    head = _RULES.format(listen=listen.authority, trusted=trusted)
    # The proxy must read a header that the rules overwrite, as visitors can set any other; Cloudflare writes its own.
    if server.forwarding_header not in {"X-Forwarded-For", "CF-Connecting-IP"}:
        head += '       client_ip_header = "X-Forwarded-For"\n'
    parts = [f"---- {name} ----\n{text}" for name, text in web_servers.rules(location).items()]
    return "\n".join([head, *parts])
