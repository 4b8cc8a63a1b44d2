"""The types of single settings, and how each is read from what TOML holds."""

import re
from typing import Annotated, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from proxy.config.address import Address, address_of
from proxy.config.database_url import server_urls
from proxy.config.hosts import ascii_host

_ORIGIN = re.compile(r"https?://(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")


class Resolver(Protocol):
    """Turns ``env:NAME`` and ``file:PATH`` into the secret itself; raises ValueError when there is none."""

    def __call__(self, reference: str, /) -> str:
        """Return the secret that ``reference`` names."""


def _resolved(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - pydantic collects ValueError only
    context = info.context or {}
    resolve: Resolver = context["resolve"]
    return "" if info.field_name in context.get("unused", ()) else resolve(value)


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


def _origin(value: str) -> str:
    origin = value.rstrip("/").lower()
    if value and not _ORIGIN.fullmatch(origin):
        raise ValueError("not an origin")
    return origin


def folded(name: str) -> str:
    """Return a name as blocked names are compared: lower-case letters and digits only."""
    return "".join(c for c in name.lower() if c.isalnum())


Secret = Annotated[SecretStr, BeforeValidator(_resolved)]
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
