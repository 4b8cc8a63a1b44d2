r"""Rules for the web server in front of the proxy: on a path of the site, or for a host name of the proxy's own.

The files in ``deploy/`` hold the same texts. Each rule has to work beside the rules that sites usually have:

* nginx prefers a regular expression (``location ~* \.(js|gif)$``) to a plain prefix, but not to ``^~``
  (ngx_http_core_module, location).
* Caddy sorts directives: a top-level ``try_files`` or ``rewrite`` comes before any ``handle`` (Caddyfile, directive
  order). So the rule looks at the path that the visitor asked for, and gives it back.
* HAProxy takes the first ``use_backend`` whose condition holds, so the rule goes before the others.
"""

import re
from dataclasses import dataclass

GPC_PATH = "/.well-known/gpc.json"

NGINX_UPSTREAM = """\
# On the level of http, once: a file such as /etc/nginx/conf.d/capi-proxy.conf
upstream capi_proxy {
    server <upstream>;
    keepalive 32;
}
"""

_NGINX_FORWARD = """\
    proxy_pass http://capi_proxy;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # The proxy judges by the site's own name whether its cookies belong to the page.
    proxy_set_header Host $host;
    # Overwritten, not appended to: what a visitor sends under these names is never believed.
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    # The whole body fits into memory, so nginx writes no contact data into temporary files.
    client_body_buffer_size 64k;
    client_max_body_size 64k;
    proxy_connect_timeout 2s;
    proxy_read_timeout 30s;
    # A line for each event of each visitor is a log of its own; the proxy keeps one without personal data.
    access_log off;
"""

NGINX_PATH = f"""\
# In the server block of <domain>
location ^~ <prefix>/ {{
{_NGINX_FORWARD}}}
"""

NGINX_GPC = f"""\
# In the same server block
location = {GPC_PATH} {{
    proxy_pass http://capi_proxy;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-Host $host;
}}
"""

NGINX_HOST = f"""\
# A file of its own, such as /etc/nginx/sites-enabled/<host>; the certificate is yours to get
server {{
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name <host>;
    ssl_certificate /etc/letsencrypt/live/<host>/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/<host>/privkey.pem;

    location / {{
{re.sub("^(?=.)", "    ", _NGINX_FORWARD, flags=re.MULTILINE)}    }}
}}
"""

CADDY_PATH = """\
# Anywhere in the block of <domain>
@capi_proxy vars_regexp {http.request.orig_uri.path} ^(<paths>)
handle @capi_proxy {
	rewrite * {http.request.orig_uri.path}
	reverse_proxy <upstream>
}
"""

CADDY_HOST = """\
# A block of its own; Caddy gets the certificate, keeps the Host header and writes the X-Forwarded headers itself
<host> {
	reverse_proxy <upstream>
}
"""

_HAPROXY_BACKEND = """\

backend capi_proxy
    mode http
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request set-header X-Forwarded-Proto http unless { ssl_fc }
    timeout connect 2s
    timeout server 30s
    server capi_proxy <upstream><announce>
"""

HAPROXY_PATH = f"""\
# In the frontend of <domain> (mode http), before its other use_backend lines
    acl capi_proxy path_beg <prefix>/<gpc_acl>
    use_backend capi_proxy if capi_proxy
{_HAPROXY_BACKEND}"""

HAPROXY_HOST = f"""\
# In the frontend (mode http), before its other use_backend lines
    acl capi_proxy hdr(host),field(1,:) -i <host>
    use_backend capi_proxy if capi_proxy
{_HAPROXY_BACKEND}"""

CLOUDFLARE_PATH = """\
// A Worker with the route <domain><prefix>/*<gpc_route>
// t.<domain> is a proxied DNS record of the same zone; it leads to a web server before the proxy that answers for
// both names, from Cloudflare's published networks only. The Host header stays the site's own name.
// In the proxy's configuration besides: client_ip_preset = "cloudflare"
export default {
  fetch(request) {
    return fetch(request, { cf: { resolveOverride: "t.<domain>" } });
  },
};
"""


@dataclass(frozen=True, slots=True)
class Location:
    """Where visitors and the web server find the proxy."""

    upstream: str
    """``host:port`` as the web server reaches it."""
    domain: str
    """The site's host name."""
    prefix: str
    """The public path of the site, without a final slash."""
    host: str = ""
    """The proxy's own host name; empty for a path of the site."""
    serves_gpc: bool = True
    """Whether the site honours Global Privacy Control, and says so at its well-known path."""
    announces: bool = False
    """Whether the web server sends the PROXY protocol."""


def filled(template: str, location: Location) -> str:
    """Return one of the templates above, filled in for one installation."""
    paths = [f"{re.escape(location.prefix)}/", *([f"{re.escape(GPC_PATH)}$"] if location.serves_gpc else [])]
    values = {
        "upstream": location.upstream,
        "domain": location.domain,
        "prefix": location.prefix,
        "host": location.host,
        "paths": "|".join(paths),
        "gpc_acl": f"\n    acl capi_proxy path {GPC_PATH}" if location.serves_gpc else "",
        "gpc_route": f" and another, {location.domain}{GPC_PATH}" if location.serves_gpc else "",
        "announce": " send-proxy-v2" if location.announces else "",
    }
    return re.sub("<([a-z_]+)>", lambda name: values[name[1]], template)


def rules(location: Location) -> dict[str, str]:
    """Return the rules to choose from, by the name of the web server."""
    nginx = [NGINX_UPSTREAM, NGINX_HOST] if location.host else [NGINX_UPSTREAM, NGINX_PATH]
    if location.serves_gpc and not location.host:
        nginx.append(NGINX_GPC)
    texts = {
        "nginx": "\n".join(nginx),
        "Caddy": CADDY_HOST if location.host else CADDY_PATH,
        "HAProxy": HAPROXY_HOST if location.host else HAPROXY_PATH,
        "Cloudflare": "" if location.host else CLOUDFLARE_PATH,
    }
    # nginx and Caddy 2.6 send no PROXY protocol to servers that they proxy HTTP to, and Cloudflare only with Spectrum.
    names = ["HAProxy"] if location.announces else [name for name, text in texts.items() if text]
    return {name: filled(texts[name], location) for name in names}
