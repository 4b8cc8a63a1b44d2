"""Graph errors as text for people: it comes from outside, so it is cut, made printable, and freed of access tokens."""

import re
from dataclasses import replace

from proxy.model.verdict import Delivered, GraphError, Verdict

_MOST = 200
# "Malformed access token EAAB…" repeats the token; nothing else that long is worth reading.
_TOKEN_LIKE = re.compile(r"[\w.~+/=-]{40,}")
# Meta's messages may quote personal data: e-mail and IP addresses, and telephone numbers.
_PERSONAL = re.compile(
    r"[^\s@\"'<>(]{1,64}@[^\s@]{1,255}|(?:\d{1,3}\.){3}\d{1,3}"
    r"|\+?\d[\d ()/-]{7,30}\d|(?:[\da-fA-F]{0,4}:){3,8}[\da-fA-F:]{0,20}"
)


def printable(text: str, most: int = _MOST) -> str:
    """Return a text in one line of at most ``most`` characters, its control and formatting characters escaped."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:most])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def without_token(graph_error: GraphError, token: str) -> GraphError:
    """Return a Graph error whose message holds no access token."""
    message = graph_error.message.replace(token, "[token]") if token else graph_error.message
    return GraphError(graph_error.code, graph_error.subcode, _TOKEN_LIKE.sub("[long]", message), graph_error.fbtrace_id)


def without_secret(verdict: Verdict, token: str) -> Verdict:
    """Return a verdict without the token, which Graph repeats in messages about a bad token: dead letters keep them."""
    if isinstance(verdict, Delivered) or not token or token not in verdict.graph_error.message:
        return verdict
    return replace(verdict, graph_error=without_token(verdict.graph_error, token))


def safe_meta_message(graph_error: GraphError) -> str:
    """Return Meta's message in one line of bounded length, without anything that may be a token or personal data."""
    bounded = graph_error.message[: 4 * _MOST]
    return printable(_PERSONAL.sub("[…]", _TOKEN_LIKE.sub("[long]", bounded)))


def graph_error_line(graph_error: GraphError) -> str:
    """Return a Graph error in one line: its codes, its trace, its message; empty when it says nothing."""
    codes = (("code", graph_error.code), ("subcode", graph_error.subcode), ("trace", printable(graph_error.fbtrace_id)))
    parts = [f"{name} {value}" for name, value in codes if value not in (None, "")]
    return ", ".join([*parts, *([printable(graph_error.message)] if graph_error.message else [])])
