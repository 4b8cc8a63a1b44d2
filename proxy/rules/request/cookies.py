"""Cookies: how they are read, set and ended (RFC 6265)."""

import re
from collections.abc import Iterable
from functools import lru_cache

from proxy.graph.law import COOKIE_SECONDS
from proxy.rules.request.sites import CookieScope

BROWSER_IDS = ("_fbp", "_fbc")
"""The cookies of Meta's Pixel."""

# Browsers keep some 180 cookies of one site.
_MOST_COOKIES = 400


def cookies_of(header: str) -> dict[str, str]:
    """Return name → value of a ``Cookie`` header; the first of a repeated name wins, as the more specific one."""
    cookies: dict[str, str] = {}
    for part in header.split(";", _MOST_COOKIES)[:_MOST_COOKIES]:
        name, equals, value = part.strip().partition("=")
        if equals and name not in cookies:
            cookies[name] = value.strip('"') if '"' in value else value
    return cookies


def pattern_of(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern that finds the cookies with these names, each behind a semicolon, for ``named_cookies``."""
    return re.compile(rf";\s*+({'|'.join(map(re.escape, names))})=([^;]*)")


def named_cookies(header: str, names: re.Pattern[str]) -> dict[str, str]:
    """Return name → value of the cookies with some names only, without looking at the others, which may be many.

    Args:
        header: The ``Cookie`` header.
        names: The pattern of the names, by ``pattern_of``.
    """
    if header.count(";") >= _MOST_COOKIES:
        header = ";".join(header.split(";", _MOST_COOKIES)[:_MOST_COOKIES])
    found = names.findall(f";{header}")
    found.reverse()  # so that the first of a repeated name is written last
    if '"' in header:
        return {name: value.rstrip().strip('"') for name, value in found}
    return {name: value.rstrip() for name, value in found}


def set_cookie(
    name: str, value: str, scope: CookieScope, *, seconds: int = COOKIE_SECONDS, http_only: bool = False
) -> str:
    """Return a ``Set-Cookie`` value.

    Args:
        name: The cookie's name.
        value: The cookie's value, in characters that a cookie may hold.
        scope: Where it is set.
        seconds: How long the browser keeps it; 0 ends it.
        http_only: Whether no script may read it.
    """
    return f"{name}={value}; {attributes(scope, seconds, http_only)}"


@lru_cache(maxsize=1024)
def attributes(scope: CookieScope, seconds: int, http_only: bool) -> str:  # noqa: FBT001 - a key of the cache
    """Return the attributes of a ``Set-Cookie`` value, as the Pixel's cookies have them: path ``/``, Lax.

    Args:
        scope: Where it is set.
        seconds: How long the browser keeps it.
        http_only: Whether no script may read it.
    """
    parts = [f"Max-Age={seconds}", "Path=/", "SameSite=Lax"]
    if scope.domain:
        parts.append(f"Domain={scope.domain}")
    if scope.secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    return "; ".join(parts)


def expire_browser_ids(scope: CookieScope) -> tuple[str, ...]:
    """Return the ``Set-Cookie`` values that end ``_fbp`` and ``_fbc``, as after a withdrawal of consent."""
    return tuple(set_cookie(name, "", scope, seconds=0) for name in BROWSER_IDS)
