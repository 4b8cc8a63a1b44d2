"""What an owner pastes: the tag's HTML, and the rules for the web server in front of the proxy."""

from proxy.cli import web_servers
from proxy.config.schema import Settings, Site

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


def snippet(settings: Settings, site: Site, trap: str, prefix: str, host: str) -> str:
    """Return the text to paste for one site.

    Args:
        settings: The whole configuration.
        site: One of its sites.
        trap: The script that stands in the page of that site.
        prefix: The public path of that site.
        host: The proxy's own name; empty for a path of the site.
    """
    facts = {"site": site, "trap": trap, "prefix": prefix, "base": f"https://{host}" if host else ""}
    html = (_TAG_WITH_PIXEL if site.load_pixel else _TAG, _IMAGE)
    return "\n".join([*(part.format(**facts) for part in html), _rules(settings, site, prefix, host)])


def _rules(settings: Settings, site: Site, prefix: str, host: str) -> str:
    server = settings.server
    listen = server.listen.from_here
    place = web_servers.Location(
        listen.authority,
        site.domains[0],
        prefix,
        host.partition(":")[0],
        serves_gpc=site.gpc != "ignore",
        announces=server.proxy_protocol,
    )
    trusted = _LOOPBACK if listen.is_loopback else "[the web server's address, as the proxy sees it]"
    head = _RULES.format(listen=listen.authority, trusted=trusted)
    # A visitor could write a header that the rules do not write; Cloudflare writes its own.
    if server.forwarding_header not in {"X-Forwarded-For", "CF-Connecting-IP"}:
        head += '       client_ip_header = "X-Forwarded-For"\n'
    parts = [f"---- {name} ----\n{text}" for name, text in web_servers.rules(place).items()]
    return "\n".join([head, *parts])
