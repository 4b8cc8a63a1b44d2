"""What Graph says of an access token (``/debug_token``), without the token."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from proxy.graph.error_text import safe_meta_message
from proxy.model.verdict import GraphError

_MOST_SCOPES, _MOST_WORD = 50, 100


class TokenHealth(NamedTuple):
    """The state of an access token. Times are in milliseconds, None if Graph says "never" or nothing."""

    asked_at: int | None = None
    """When Graph was asked; None: not yet."""
    is_valid: bool | None = None
    """Whether the token is valid; None if Graph did not say."""
    expires_at: int | None = None
    data_access_expires_at: int | None = None
    scopes: tuple[str, ...] = ()
    error: str = ""
    """Why there is no answer about the token, or what Graph says is wrong with it; empty otherwise."""

    @property
    def ends_at(self) -> int | None:
        """When the token, or its access to data, expires; None if that is never or not known."""
        ends = [moment for moment in (self.expires_at, self.data_access_expires_at) if moment]
        return min(ends, default=None)


def token_health(status: int, body: bytes, asked_at: int) -> TokenHealth:
    """Return what an answer of ``/debug_token`` means.

    Args:
        status: The HTTP status.
        body: The body of the answer.
        asked_at: When Graph was asked: server clock in milliseconds.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        error = _words(document.get("error")) if isinstance(document, dict) else ""
        return TokenHealth(asked_at, error=error or f"no answer that can be read (HTTP status {status})")
    return _read(data, asked_at)


def _read(data: Mapping[str, Any], asked_at: int) -> TokenHealth:
    is_valid, scopes = data.get("is_valid"), data.get("scopes")
    texts = scopes if isinstance(scopes, list) else []
    return TokenHealth(
        asked_at,
        is_valid if isinstance(is_valid, bool) else None,
        _moment(data.get("expires_at")),
        _moment(data.get("data_access_expires_at")),
        tuple(text[:_MOST_WORD] for text in texts[:_MOST_SCOPES] if isinstance(text, str)),
        _words(data.get("error")),
    )


def _words(error: object) -> str:
    """Return Meta's code and message about a token, without the token, which the message may quote."""
    if not isinstance(error, dict):
        return ""
    code, message = error.get("code"), error.get("message")
    words = safe_meta_message(GraphError(message=message)) if isinstance(message, str) else ""
    return f"code {code}: {words}" if isinstance(code, int) else words


def _moment(seconds: object) -> int | None:
    """Return a time in milliseconds, None if there is none; Graph gives 0 for "never"."""
    is_number = isinstance(seconds, int) and not isinstance(seconds, bool)
    return seconds * 1000 if is_number and isinstance(seconds, int) and 0 < seconds < 1 << 40 else None
