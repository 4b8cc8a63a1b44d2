"""Contradictions between values that are each valid by themselves.

The checks read the tables as they come from TOML, and pass over what is not well-formed, so that no mistake hides
another.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.config.address import Address, address_of
from proxy.config.consent_managers import CONSENT_MANAGERS
from proxy.config.hosts import ascii_host
from proxy.config.problems import Problem
from proxy.config.schema import OrderSettings, ServerSettings, Site

_LEAF_KEYS = ("tag_name", "collect_name", "image_name", "choice_name")
# One lane delivers a pixel's events for all sites that list the pixel, so these keys must be the same in all of them.
_LANE_KEYS = ("access_token", "app_secret", "test_event_code", "test_event_until")
_NEEDED_OPTIONS = [
    (name, option.name) for name, manager in CONSENT_MANAGERS.items() for option in manager.options if option.required
]
# The members of orders and of their lines that may be chosen as ids; Stripe leaves no choice.
_ORDER_MEMBERS: dict[str, dict[str, tuple[str, ...]]] = {
    "shopify": {"order_id": ("id", "name", "order_number"), "content_id": ("product_id", "variant_id", "sku")},
    "woocommerce": {"order_id": ("id", "number"), "content_id": ("product_id", "variation_id", "sku")},
    "stripe": {"order_id": ("id",), "content_id": ("product_id",)},
}


def contradictions(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the mistakes between the values of a configuration, as read from TOML."""
    yield from _server_contradictions(_table(raw.get("server")))
    yield from _queue_contradictions(_table(raw.get("queue")), _table(raw.get("server")))
    yield from _alert_contradictions(_table(raw.get("alerts")))
    sites = [_table(site) for site in _list(raw.get("site"))]
    yield from _repeated_names(sites)
    yield from _shared_paths(sites)
    for index, site in enumerate(sites):
        yield from _equal_leaves(index, site)
        yield from _consent_contradictions(index, site)
        yield from _repeated_pixels(index, site)
        yield from _webhook_contradictions(index, site)
        yield from _order_contradictions(index, site)
    yield from _different_means(sites)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _server_contradictions(server: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _missing_password(server)
    yield from _equal_ports(server)
    yield from _two_address_headers(server)
    yield from _proxy_protocol_without_peers(server)


def _queue_contradictions(queue: Mapping[str, Any], server: Mapping[str, Any]) -> Iterator[Problem]:
    shared = queue.get("engine") == "postgres"
    if shared and not queue.get("url"):
        yield Problem("queue.url", "missing", 'with queue.engine = "postgres" the address of the database')
    if shared and not server.get("secret"):
        accepted = 'with queue.engine = "postgres" one secret for all proxies that share the database'
        yield Problem("server.secret", "missing", accepted)
    if queue.get("url") and queue.get("engine", "sqlite") == "sqlite":
        yield Problem("queue.url", "a database", 'empty with queue.engine = "sqlite"')


def _alert_contradictions(alerts: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield alert settings without a receiver, incomplete logins, and passwords that would be sent unencrypted."""
    told = [key for key in ("webhook", "email") if _list(alerts.get(key))]
    if alerts and not told:
        yield Problem("alerts", "tells nobody", "with [[alerts.webhook]] or [[alerts.email]]")
    for index, mail in enumerate(map(_table, _list(alerts.get("email")))):
        if mail.get("user") and mail.get("security") == "none":
            yield Problem(f"alerts.email[{index}].security", "'none'", '"starttls" or "tls", since there is a user')
        if bool(mail.get("user")) != bool(mail.get("password")):
            missing = "password" if mail.get("user") else "user"
            yield Problem(f"alerts.email[{index}].{missing}", "missing", "user and password, or neither")


def _listener(server: Mapping[str, Any], key: str) -> Address | None:
    try:
        return address_of(server.get(key, ServerSettings.model_fields[key].default.authority))
    except ValueError:
        return None


def _missing_password(server: Mapping[str, Any]) -> Iterator[Problem]:
    listener = _listener(server, "operator_listen")
    if listener and not listener.is_loopback and not server.get("operator_password"):
        accepted = "a password, since operator_listen is not loopback"
        yield Problem("server.operator_password", "missing", accepted)


def _equal_ports(server: Mapping[str, Any]) -> Iterator[Problem]:
    public, operator = _listener(server, "listen"), _listener(server, "operator_listen")
    if public and operator and public.clashes_with(operator):
        yield Problem("server.operator_listen", f"{operator.authority!r} (listen has this port)", "another port")


def _two_address_headers(server: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a preset that is set together with a header of the owner's own: one of the two would have no effect."""
    if server.get("client_ip_preset") and "client_ip_header" in server:
        value = f"{server['client_ip_preset']!r} beside client_ip_header"
        yield Problem("server.client_ip_preset", value, "one of the two keys")


def _proxy_protocol_without_peers(server: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the PROXY protocol without trusted peers: its header is read from trusted peers only."""
    if server.get("proxy_protocol") is True and not server.get("trusted_proxies"):
        yield Problem("server.proxy_protocol", "True without trusted_proxies", "true with the balancer's network there")


def _repeated_names(sites: list[dict[str, Any]]) -> Iterator[Problem]:
    names = [str(site.get("name", "")) for site in sites]
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            first, second, *_ = [index for index, candidate in enumerate(names) if candidate == name]
            yield Problem(f"site[{second}].name", f"{name!r} (also site[{first}])", "another for each site")


def _shared_paths(sites: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield sites that share a prefix and a domain, so that no request could tell them apart."""
    first: dict[tuple[str, str], int] = {}
    for index, site in enumerate(sites):
        prefix = str(site.get("prefix", "")).strip("/")
        for domain in map(str, _list(site.get("domains")) if prefix else ()):
            owner = first.setdefault((prefix, ascii_host(domain)), index)
            if owner != index:
                yield Problem(f"site[{index}].prefix", f"{prefix!r} on {domain} (also site[{owner}])", "another prefix")


def _equal_leaves(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for key in _LEAF_KEYS:
        leaf = str(site.get(key, Site.model_fields[key].default))
        if leaf in first:
            yield Problem(f"site[{index}].{key}", f"{leaf!r} (also {first[leaf]})", "four different names")
        first[leaf] = key


def _consent_contradictions(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield consent managers that no event waits for, and missing options that a consent manager needs."""
    sources = _list(site.get("consent_from"))
    if sources and site.get("consent") != "required":
        accepted = '"required", since consent_from names who is asked'
        yield Problem(f"site[{index}].consent", repr(site.get("consent", "pixel")), accepted)
    cmp = _table(site.get("cmp"))
    for source, key in _NEEDED_OPTIONS:
        if source in sources and not cmp.get(key):
            yield Problem(f"site[{index}].cmp.{key}", "missing", f"a name, since consent_from has {source}")


def _repeated_pixels(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, pixel in enumerate(map(_table, _list(site.get("pixel")))):
        identity = str(pixel.get("id"))
        if first.setdefault(identity, number) != number:
            value = f"{identity!r} (also site[{index}].pixel[{first[identity]}])"
            yield Problem(f"site[{index}].pixel[{number}].id", value, "each pixel of a site once")


def _webhook_contradictions(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield webhooks of the same kind, which would share an address, empty secrets, and members that no order has."""
    first: dict[str, int] = {}
    for number, webhook in enumerate(map(_table, _list(site.get("webhook")))):
        path, kind = f"site[{index}].webhook[{number}]", str(webhook.get("kind"))
        if first.setdefault(kind, number) != number:
            value = f"{kind!r} (also site[{index}].webhook[{first[kind]}])"
            yield Problem(f"{path}.kind", value, "each kind once for a site; more secrets go into old_secrets")
        if webhook.get("secret") == "":
            yield Problem(f"{path}.secret", "empty", "the secret that the shop signs with")
        for key, members in _ORDER_MEMBERS.get(kind, {}).items():
            if key in webhook and webhook[key] not in members:
                yield Problem(f"{path}.{key}", repr(webhook[key]), " or ".join(members))


def _order_contradictions(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield settings that hold Purchases though no server can report payments, or longer than sightings are kept."""
    orders = _table(site.get("orders"))
    if orders.get("hold_until_paid") is not True:
        return
    path = f"site[{index}].orders"
    if not site.get("access_keys") and not site.get("webhook"):
        accepted = "true where access_keys or a [[site.webhook]] let a server say what was paid"
        yield Problem(f"{path}.hold_until_paid", "True", accepted)
    if site.get("sensitive") == "restricted":
        accepted = 'false with sensitive = "restricted", where no page\'s event has an order that could be paid'
        yield Problem(f"{path}.hold_until_paid", "True", accepted)
    hours, days = (orders.get(key, OrderSettings.model_fields[key].default) for key in ("hold_hours", "join_days"))
    if isinstance(hours, int) and isinstance(days, int) and hours > days * 24:
        yield Problem(
            f"{path}.hold_hours", f"{hours} (join_days is {days})", f"{days * 24} hours at most, or more days"
        )


def _different_means(sites: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield pixels that several sites list with different tokens, app secrets or test event codes."""
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for index, site in enumerate(sites):
        for number, pixel in enumerate(map(_table, _list(site.get("pixel")))):
            path = f"site[{index}].pixel[{number}].id"
            first_path, means = first.setdefault(str(pixel.get("id")), (path, pixel))
            for key in _LANE_KEYS:
                if means.get(key) != pixel.get(key):
                    value = f"{pixel.get('id')!r} has another {key} than {first_path}"
                    yield Problem(path, value, f"one {key} for one pixel")
