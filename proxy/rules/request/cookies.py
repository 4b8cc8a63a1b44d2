"""Cookies: how they are read, set and ended (RFC 6265)."""

from functools import lru_cache

from proxy.rules.request.sites import CookieScope

COOKIE_DAYS = 90


_COOKIE_SECONDS = COOKIE_DAYS * 24 * 60 * 60


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


def set_cookie(
    name: str, value: str, scope: CookieScope, *, seconds: int = _COOKIE_SECONDS, http_only: bool = False
) -> str:
    """Return a ``Set-Cookie`` value as the Pixel's cookies are: path ``/``, Lax; ``http_only`` hides it from script."""
    return f"{name}={value}; {_attributes(scope, seconds, http_only)}"


@lru_cache(maxsize=1024)
def _attributes(scope: CookieScope, seconds: int, http_only: bool) -> str:  # noqa: FBT001 - a key of the cache
    parts = [f"Max-Age={seconds}", "Path=/", "SameSite=Lax"]
    if scope.domain:
        parts.append(f"Domain={scope.domain}")
    if scope.secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    return "; ".join(parts)


def forget_cookies(scope: CookieScope) -> tuple[str, ...]:
    """Return the ``Set-Cookie`` values that end our cookies after a withdrawal of consent."""
    return tuple(set_cookie(name, "", scope, seconds=0) for name in ("_fbp", "_fbc"))
