"""JSON as browsers and servers write it, including half characters (lone surrogates)."""

import json
import math
import re
from typing import Any, NoReturn, TypeVar

import msgspec
import orjson

T = TypeVar("T")

# Half a pair of surrogates, which is what ``slice`` leaves of an emoji.
_HIGH, _LOW = rb"[89abAB][0-9a-fA-F]{2}", rb"[c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"\\u[dD](?:%b(?!\\u[dD]%b)|%b(?<!\\u[dD]%b\\u[dD]%b))" % (_HIGH, _LOW, _LOW, _HIGH, _LOW))
# Escaped backslashes are replaced by this mask while halves are looked for; no JSON holds it.
_BACKSLASH, _MASK = rb"\\", b"\x00\x00"
# Numbers of 64 bits have 19 digits or more; beyond them the faster reader makes a fraction.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
# A long number with the character before it; digests in hexadecimal digits follow a quote, so they do not match.
_OPEN_NUMBER = re.compile(rb"[:,\[\s]-?[0-9]{19}")
# The largest body in which halves are looked for: that takes up to 50 ms for a megabyte, before the sender is known.
_MOST_MASKED = 1024 * 1024


def parsed(body: bytes) -> Any:
    """Return the value of JSON; half characters become U+FFFD, as when browsers encode text (WHATWG, Encoding).

    Raises:
        orjson.JSONDecodeError: when it is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        masked = replace_lone_surrogates(body)
        if masked is None:
            raise
        return orjson.loads(masked)


def parsed_exactly(body: bytes) -> Any:
    """Return the value of JSON like ``parsed``, but with whole numbers of any size exactly.

    Raises:
        ValueError: when it is no JSON, or a number is not finite.
        RecursionError: when it is nested too deep.
    """
    if not (_LONG_NUMBER.search(body) and _OPEN_NUMBER.search(b" " + body)):
        return parsed(body)
    text = (replace_lone_surrogates(body) or body).decode()
    return json.loads(text, parse_float=_finite, parse_constant=_no_number)


def _finite(word: str) -> float:
    number = float(word)
    return number if math.isfinite(number) else _no_number(word)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word[:20]} is no number")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return what a decoder reads from JSON; half characters become U+FFFD, except in a very large body.

    Raises:
        msgspec.DecodeError: when it is no JSON.
    """
    try:
        return decoder.decode(body)
    except msgspec.DecodeError:
        masked = replace_lone_surrogates(body) if len(body) <= _MOST_MASKED else None
        if masked is None:
            raise
        return decoder.decode(masked)


def replace_lone_surrogates(body: bytes) -> bytes | None:
    """Return JSON with half characters replaced by U+FFFD; None where it can hold none."""
    if b"\\u" not in body or b"\x00" in body:
        return None
    return _HALF.sub(rb"\\ufffd", body.replace(_BACKSLASH, _MASK)).replace(_MASK, _BACKSLASH)
