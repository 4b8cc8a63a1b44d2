"""The types of single settings, and how each is read from what TOML holds."""

import re
from typing import Annotated, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from proxy.config.address import Address, address_of
from proxy.config.database_url import server_urls
from proxy.config.hosts import ascii_host
from proxy.config.password_hash import is_hash, read_hash

_HOOK = re.compile(r"https?://[^/?#\s]+(/\S*)?", re.ASCII)
_MAIL = re.compile(r"[^@\s<>,;\x00-\x1f]+@[^@\s<>,;\x00-\x1f]+", re.ASCII)
_ORIGIN = re.compile(r"https?://(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")


class Resolver(Protocol):
    """Turns ``env:NAME`` and ``file:PATH`` into the secret itself; raises ValueError when the secret is missing."""

    def __call__(self, reference: str, /) -> str:
        """Return the secret that ``reference`` names."""


def _resolved(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - pydantic collects ValueError only
    context = info.context or {}
    resolve: Resolver = context["resolve"]
    if info.field_name in context.get("unused", ()):
        return ""
    try:
        return resolve(value)
    except ValueError:
        missing: dict[str, str] | None = context.get("missing")
        if missing is None:
            raise
        missing[info.field_name or ""] = value
        return ""


def _resolved_of_alerts(value: object, info: ValidationInfo) -> object:
    return "" if "alerts" in (info.context or {}).get("unused", ()) else _resolved(value, info)


def _hook_address(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text and not _HOOK.fullmatch(text):
        raise ValueError("not an http(s) address")
    return value


def _mail_address(value: str) -> str:
    if not _MAIL.fullmatch(value):
        raise ValueError("not an e-mail address")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError("not a time zone of this machine") from error
    return value


def _path_segment(value: str) -> str:
    if not value or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in value) or value in {".", ".."}:
        raise ValueError("not one path segment")
    return value


def _host_name(value: str) -> str:
    name = ascii_host(value)
    if not name or any(c in name for c in "/:@* ") or name.startswith("."):
        raise ValueError("not a host name")
    return name


def _servers(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        server_urls(value.get_secret_value())
    return value


def _password(value: SecretStr) -> SecretStr:
    if is_hash(value.get_secret_value()):
        read_hash(value.get_secret_value())
    return value


def _origin(value: str) -> str:
    origin = value.rstrip("/").lower()
    if value and not is_origin(origin):
        raise ValueError("not an origin")
    return origin


def is_origin(text: str) -> bool:
    """Tell whether a text in lower case is an origin: scheme and host, with or without a port."""
    if not _ORIGIN.fullmatch(text):
        return False
    port = text.rpartition(":")[2]
    return not port.isdecimal() or int(port) < 65536


def folded(name: str) -> str:
    """Return a name as blocked names are compared: lower-case letters and digits only."""
    return "".join(c for c in name.lower() if c.isalnum())


Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
Password = Annotated[Secret, AfterValidator(_password)]
"""A password in plain text, or its hash as ``password_hash`` writes it."""
DatabaseUrl = Annotated[Secret, AfterValidator(_servers)]
Listen = Annotated[Address, BeforeValidator(address_of)]
Leaf = Annotated[str, AfterValidator(_path_segment)]
"""The last segment of a public path."""
PublicUrl = Annotated[str, AfterValidator(_origin)]
"""Scheme, host and port, without a path."""
Domain = Annotated[str, AfterValidator(_host_name)]
BlockedKey = Annotated[str, AfterValidator(folded)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
AlertSecret = Annotated[SecretStr, BeforeValidator(_resolved_of_alerts)]
"""A secret that only alerts need: commands that send no alerts list ``alerts`` as unused, and none of these is read."""
HookAddress = Annotated[AlertSecret, AfterValidator(_hook_address)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
