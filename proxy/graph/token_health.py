"""What Graph says of an access token (``/debug_token``), without the token."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from proxy.graph.error_text import meta_words
from proxy.model.verdict import GraphError

_MOST_SCOPES, _MOST_WORD = 50, 100


class TokenHealth(NamedTuple):
    """How a token stands; times are in milliseconds, None where Graph says "never" or does not tell."""

    asked_at: int | None = None
    """When Graph was asked; None: not yet."""
    is_valid: bool | None = None
    """None where Graph does not tell."""
    expires_at: int | None = None
    data_access_expires_at: int | None = None
    scopes: tuple[str, ...] = ()
    error: str = ""
    """What Graph, or the network, said in place of an answer."""

    @property
    def ends_at(self) -> int | None:
        """When it is of no use any more, or of less; None where that is not known, or never."""
        ends = [moment for moment in (self.expires_at, self.data_access_expires_at) if moment]
        return min(ends, default=None)


def token_health(status: int, body: bytes, asked_at: int) -> TokenHealth:
    """Return what an answer of ``/debug_token`` means.

    Args:
        status: Of HTTP.
        body: The answer.
        asked_at: Server clock in milliseconds.
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
    """Return Meta's words about a token, which may quote it."""
    if not isinstance(error, dict):
        return ""
    code, message = error.get("code"), error.get("message")
    words = meta_words(GraphError(message=message)) if isinstance(message, str) else ""
    return f"code {code}: {words}" if isinstance(code, int) else words


def _moment(seconds: object) -> int | None:
    """Return a moment; Graph says 0 for "never"."""
    is_number = isinstance(seconds, int) and not isinstance(seconds, bool)
    return seconds * 1000 if is_number and isinstance(seconds, int) and 0 < seconds < 1 << 40 else None
