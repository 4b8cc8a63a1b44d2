"""What an owner pastes: the tag's HTML, and how to mount the proxy on a path of the site itself."""

from proxy.settings import Settings, Site

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

_NGINX = """\
# nginx, in the server block of {domain}; then: server.trusted_proxies = ["127.0.0.1/32"]
location {prefix}/ {{
    proxy_pass http://{listen};
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
}}
"""

_CADDY = """\
# Caddy, in the block of {domain}; then: server.trusted_proxies = ["127.0.0.1/32"]
handle {prefix}/* {{
    reverse_proxy {listen}
}}
"""

_CLOUDFLARE = """\
# Cloudflare: an Origin Rule for {domain} with the expression
#     starts_with(http.request.uri.path, "{prefix}/")
# that sends to the proxy's address and keeps the Host header; then:
#     server.client_ip_header = "CF-Connecting-IP"
#     server.trusted_proxies  = [Cloudflare's published networks]
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
    listen = settings.server.listen
    facts = {
        "site": site,
        "trap": trap,
        "prefix": prefix,
        "base": f"https://{host}" if host else "",
        "domain": site.domains[0],
        "listen": f"127.0.0.1:{listen.port}" if listen.host in {"0.0.0.0", "::"} else f"{listen.host}:{listen.port}",
    }
    html = (_TAG_WITH_PIXEL if site.load_pixel else _TAG, _IMAGE)
    parts = html if host else (*html, _NGINX, _CADDY, _CLOUDFLARE)
    return "\n".join(part.format(**facts) for part in parts)
