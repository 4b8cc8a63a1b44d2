"""Graph's words for people: text from outside, so it is cut, made printable, and freed of the token it may repeat."""

import re

from proxy.model import Words

_MOST = 200
# "Malformed access token EAAB…" repeats the token; nothing else that long is worth reading.
_TOKEN_LIKE = re.compile(r"[\w.~+/=-]{40,}")


def printable(text: str, most: int = _MOST) -> str:
    """Return a text in one line, its control and formatting characters escaped, at most so many characters long."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:most])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def without_token(words: Words, token: str) -> Words:
    """Return Graph's words without an access token."""
    message = words.message.replace(token, "[token]") if token else words.message
    return Words(words.code, words.subcode, _TOKEN_LIKE.sub("[long]", message), words.fbtrace_id)


def told(words: Words) -> str:
    """Return Graph's words in one line: its codes, its trace, its message; empty when it said nothing."""
    codes = (("code", words.code), ("subcode", words.subcode), ("trace", printable(words.fbtrace_id)))
    parts = [f"{name} {value}" for name, value in codes if value not in (None, "")]
    return ", ".join([*parts, *([printable(words.message)] if words.message else [])])
