"""The shape of the configuration: every key with its type, default, unit and what is accepted.

Nothing here reads files: ``load.py`` reads the configuration file and the environment. Error messages give the
description of a field as what is accepted. A table that occurs once has a class ``...Settings``; tables of which there
may be several, such as ``[[site]]`` and ``[[site.pixel]]``, have classes named after what they describe.

More than 250 lines: all keys are in one file.
"""

from datetime import date
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, create_model, field_validator

from proxy.config.access_keys import ACCEPTED, AccessKey
from proxy.config.address import Address
from proxy.config.alerts import AlertSettings
from proxy.config.consent_managers import CONSENT_MANAGERS, consent_manager_name
from proxy.config.field_types import (
    BlockedKey,
    DatabaseUrl,
    Domain,
    Flag,
    Leaf,
    Listen,
    Password,
    PublicUrl,
    Seconds,
    Secret,
    Whole,
)
from proxy.config.section import Section as _Section

# Blocked as a whole name, or as the last word of a longer one ("billing_email"). So words that describe goods, such as
# "name" or "city", are not in the list.
_BLOCKED = """
    address apikey auth authorization birthdate birthday cardnumber creditcard csrf cvc cvv dateofbirth dob em email
    emailaddress firstname fname fullname iban ip jwt lastname lat latitude lname lng login lon longitude mail
    msisdn otp passcode passport passwd password ph phone phonenumber pin pwd secret session sessionid sid ssn
    street surname tel telephone token username
"""

ConsentSource = Annotated[str, AfterValidator(consent_manager_name)]


class ServerSettings(_Section):
    """``[server]``: listeners, trusted proxies, secrets, and the directory of the data."""

    listen: Listen = Field(Address("0.0.0.0", 8080), description='"host:port" of the public listener')
    operator_listen: Listen = Field(
        Address("127.0.0.1", 9090), description='"host:port" of the dashboard, metrics and health'
    )
    operator_password: Password = Field(
        SecretStr(""),
        description="a text, env:NAME or file:PATH, or scrypt:… as capi-proxy password writes it; required when "
        "operator_listen is not loopback",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description='a list of networks such as "10.0.0.0/8", without host bits'
    )
    client_ip_header: str = Field(
        "X-Forwarded-For", pattern=r"^[A-Za-z0-9-]+$", description="the name of one request header"
    )
    client_ip_preset: Literal["", "caddy", "cloudflare", "cloudfront", "fastly", "nginx"] = Field(
        "", description='empty, or what stands in front: "caddy", "cloudflare", "cloudfront", "fastly" or "nginx"'
    )
    proxy_protocol: Flag = Field(False, description="true (with trusted_proxies) or false")
    fast_ingest: Flag = Field(default=True, description="true or false")
    workers: Whole = Field(1, ge=1, le=64, description="front processes, 1 to 64; 1: one process does everything")
    data_dir: str = Field("data", min_length=1, description="a directory; relative to the configuration file")
    secret: Secret = Field(
        SecretStr(""),
        description="32 bytes or more, env:NAME or file:PATH; absent: made and kept in data_dir",
    )
    old_secrets: tuple[Secret, ...] = Field((), description="a list of earlier secrets")

    @property
    def forwarding_header(self) -> str:
        """The header that carries the visitor's address.

        CloudFront and Fastly add the address they saw to the end of the usual list. Fastly's own Fastly-Client-IP is
        not used, since a visitor can send it (Fastly, Fastly-Client-IP).
        """
        if self.client_ip_preset:
            return "CF-Connecting-IP" if self.client_ip_preset == "cloudflare" else "X-Forwarded-For"
        return self.client_ip_header

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value().encode()) < 32:
            raise ValueError("too short")
        return value


class RetentionSettings(_Section):
    """``[retention]``: how long finished events are remembered."""

    ledger_days: Whole = Field(7, ge=1, le=90, description="days, 1 to 90")
    ledger_max_bytes: Whole = Field(1_073_741_824, ge=1_048_576, description="bytes, 1048576 or more")
    rollup_days: Whole = Field(400, ge=30, le=3650, description="days, 30 to 3650")
    dead_days: Whole = Field(7, ge=1, le=90, description="days, 1 to 90")
    opted_out_days: Whole = Field(400, ge=30, le=3650, description="days, 30 to 3650")
    erased_days: Whole = Field(7, ge=7, le=400, description="days, 7 to 400")


class GraphSettings(_Section):
    """``[graph]``: where events go."""

    url: str = Field(
        "https://graph.facebook.com",
        pattern=r"^https?://[^/?#\s]+/?$",
        description="an http(s) address without path",
    )
    version: str = Field("v26.0", pattern=r"^v\d+\.\d+$", description='a Graph API version such as "v26.0"')
    timeout: float = Field(30.0, gt=0, le=120, description="seconds for one request in all, up to 120")


class QueueSettings(_Section):
    """``[queue]``: the engine that keeps acknowledged events."""

    engine: Literal["sqlite", "postgres"] = Field("sqlite", description='"sqlite" or "postgres"')
    url: DatabaseUrl = Field(
        SecretStr(""),
        description="postgresql://user:password@host:port/database, several hosts with commas, env:NAME or file:PATH",
    )
    commit_timeout: float = Field(1.0, ge=0.1, le=10, description="seconds for one commit, 0.1 to 10")
    lease: float = Field(3.5, ge=1, le=300, description="seconds, 1 to 300")
    spool: Flag = Field(default=True, description="true or false")
    spool_max_bytes: Whole = Field(10_737_418_240, ge=1_048_576, description="bytes, 1048576 or more; then 503")
    max_events: Whole = Field(5_000_000, ge=1000, description="events that may wait, 1000 or more; then 503")
    max_bytes: Whole = Field(21_474_836_480, ge=1_048_576, description="bytes of the file, 1048576 or more; then 503")
    min_free_bytes: Whole = Field(134_217_728, ge=0, description="bytes of disk that stay free; below, 503")


class LimitSettings(_Section):
    """``[limits]``: what one client may take of the public listener; an IPv6 client is its /64."""

    requests_per_second: Whole = Field(2000, ge=1, description="requests a second of one address, 1 or more; then 429")
    burst: Whole = Field(4000, ge=1, description="requests of one address at once, 1 or more; then 429")
    connections: Whole = Field(4000, ge=10, description="open connections in all, 10 or more")
    connections_per_address: Whole = Field(256, ge=1, description="open connections of one address, 1 or more")
    first_byte_seconds: Seconds = Field(5.0, description="seconds for the first byte, up to 3600; then 408")
    header_seconds: Seconds = Field(10.0, description="seconds for a request's headers, up to 3600; then 408")
    body_seconds: Seconds = Field(10.0, description="seconds for a request's body, up to 3600; then 408")
    keep_alive_seconds: Seconds = Field(75.0, description="seconds between two requests, up to 3600")


class Pixel(_Section):
    """``[[site.pixel]]``: one pixel (dataset) and the token that may write to it."""

    id: str = Field(pattern=r"^[0-9]{1,20}$", description="the pixel id, digits in quotes")
    access_token: Secret = Field(description="the pixel's access token: a text, env:NAME or file:PATH")
    app_secret: Secret = Field(SecretStr(""), description="the app's secret, env:NAME or file:PATH")
    test_event_code: str = Field("", description="the code of Events Manager's test page")
    test_event_until: date | None = Field(None, description="a date; test_event_code is ignored after it")
    events: tuple[str, ...] = Field(("*",), description='a list of event names; "*" is all, "!Name" excludes')


class _CmpBase(_Section):
    """``[site.cmp]``: what counts as consent, in the terms of the consent manager (CMP) that is asked."""

    implied: Flag = Field(False, description="true or false: whether what the CMP allows without asking is a yes")


if TYPE_CHECKING:
    CmpSettings = _CmpBase
else:
    CmpSettings = create_model(
        "CmpSettings",
        __base__=_CmpBase,
        **{
            option.name: (option.kind, Field(option.default, description=option.description))
            for manager in CONSENT_MANAGERS.values()
            for option in manager.options
        },
    )


class OrderSettings(_Section):
    """``[site.orders]``: how a server's event of an order is joined with its visitor, and what is done without one."""

    join_days: Whole = Field(7, ge=1, le=30, description="days, 1 to 30")
    wait_seconds: Whole = Field(10, ge=0, le=600, description="seconds, 0 to 600")
    hold_until_paid: Flag = Field(False, description="true or false")
    hold_hours: Whole = Field(24, ge=1, le=144, description="hours, 1 to 144")
    after_hold: Literal["send", "drop"] = Field("send", description='"send" or "drop"')
    unknown_people: Literal["send", "ldu", "drop"] = Field("send", description='"send", "ldu" or "drop"')


class Webhook(_Section):
    """``[[site.webhook]]``: a shop that reports its orders by webhooks, to the path ``/hooks/{site}/{kind}``."""

    kind: Literal["shopify", "woocommerce", "stripe"] = Field(description='"shopify", "woocommerce" or "stripe"')
    secret: Secret = Field(description="the secret that the shop signs with: a text, env:NAME or file:PATH")
    old_secrets: tuple[Secret, ...] = Field((), description="a list of secrets that may still sign")
    order_id: str = Field(
        "id", pattern="^(id|name|number|order_number)$", description="the member of an order that pages call order_id"
    )
    content_id: str = Field(
        "product_id",
        pattern="^(product_id|variant_id|variation_id|sku)$",
        description="the member of an order's line that is the product's id in the catalogue",
    )
    renewal_event: str = Field("", max_length=100, description="the event of a renewed subscription; empty: none")


class Site(_Section):
    """``[[site]]``: whose pages may send, and what may leave."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="1 to 40 letters, digits, - or _")
    domains: tuple[Domain, ...] = Field(min_length=1, description="a list of host names; sub-domains are included")
    prefix: str = Field(
        "",
        pattern=r"^(/?[A-Za-z0-9][A-Za-z0-9_-]*)?$",
        description='empty (derived) or one plain word: "/shop-tools"',
    )
    public_url: PublicUrl = Field("", description="empty, or scheme and host where pages find the proxy")
    tag_name: Leaf = Field("m.js", description="one path segment: letters, digits, - _ .")
    collect_name: Leaf = Field("e", description="one path segment: letters, digits, - _ .")
    image_name: Leaf = Field("n.gif", description="one path segment: letters, digits, - _ .")
    choice_name: Leaf = Field("c", description="one path segment: letters, digits, - _ .")
    consent: Literal["pixel", "required"] = Field("pixel", description='"pixel" or "required"')
    consent_from: tuple[ConsentSource, ...] = Field((), description=f"a list of {', '.join(CONSENT_MANAGERS)}")
    cmp: CmpSettings = Field(default_factory=CmpSettings, description="a table")
    gpc: Literal["drop", "ldu", "ignore"] = Field("drop", description='"drop", "ldu" or "ignore"')
    dnt: Literal["ignore", "drop"] = Field("ignore", description='"ignore" or "drop"')
    ldu: Flag = Field(False, description="true or false")
    sensitive: Literal["none", "restricted"] = Field("none", description='"none" or "restricted"')
    bots: Literal["drop", "mark", "ignore"] = Field("drop", description='"drop", "mark" or "ignore"')
    load_pixel: Flag = Field(False, description="true or false")
    route_page_views: Flag = Field(True, description="true or false")
    order_ids: Flag = Field(True, description="true or false")
    forwarded_pixel: Flag = Field(False, description="true or false")
    visitor_id: Flag = Field(True, description="true or false")
    remember_match: Flag = Field(False, description="true or false")
    keep_url_params: frozenset[str] = Field(
        frozenset({"utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id"}),
        description="a list of query parameter names that may stay in addresses",
    )
    block_keys: frozenset[BlockedKey] = Field(
        frozenset(_BLOCKED.split()),
        description="a list of names of query parameters and of custom data that never leave",
    )
    access_keys: tuple[AccessKey, ...] = Field((), description=ACCEPTED)
    orders: OrderSettings = Field(default_factory=OrderSettings, description="a table")
    country: str = Field("", pattern=r"^([A-Za-z]{2})?$", description="ISO 3166 alpha-2 of the visitors' usual country")
    webhook: tuple[Webhook, ...] = Field((), description="[[site.webhook]] for each shop")
    pixel: tuple[Pixel, ...] = Field(min_length=1, description="one [[site.pixel]] or more")

    @property
    def unknown_people(self) -> Literal["send", "ldu", "drop"]:
        """What is done with server events of people without a sighting; dropped where consent is required."""
        return "drop" if self.consent == "required" else self.orders.unknown_people

    @field_validator("prefix")
    @classmethod
    def _rooted(cls, value: str) -> str:
        return value if not value or value.startswith("/") else "/" + value


class Settings(_Section):
    """The whole configuration."""

    server: ServerSettings = Field(default_factory=ServerSettings, description="a table")
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="a table")
    graph: GraphSettings = Field(default_factory=GraphSettings, description="a table")
    queue: QueueSettings = Field(default_factory=QueueSettings, description="a table")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="a table")
    alerts: AlertSettings = Field(default_factory=AlertSettings, description="a table")
    site: tuple[Site, ...] = Field(min_length=1, description="one [[site]] or more")
