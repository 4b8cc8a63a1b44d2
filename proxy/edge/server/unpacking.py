"""Compressed bodies: gzip and deflate (RFC 9110, 8.4.1), unpacked in parts that the caller counts and can limit."""

import zlib
from collections.abc import Callable

from proxy.rules.effort import Parts

_AUTOMATIC = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}
PACKED = frozenset(_AUTOMATIC)
"""The supported content codings, besides ``identity``."""
_RAW = -zlib.MAX_WBITS
_FED = 1 << 13
"""How many packed bytes are worked on at once: even the most gzip members in them take about a millisecond."""
_PART = 1 << 18
"""How many bytes are unpacked at once, in about a millisecond."""


class UnpackableError(Exception):
    """The body is not what its ``Content-Encoding`` says."""


def unpacked(packed: bytes, coding: str, grown: Callable[[int], None]) -> Parts[bytes]:
    """Unpack a body in parts.

    Args:
        packed: The whole packed body.
        coding: Its ``Content-Encoding``, one of ``PACKED``.
        grown: Called with the number of bytes of each unpacked part; an error that it raises ends the work.

    Raises:
        UnpackableError: when the body is in another coding, or incomplete.
    """
    wbits = _AUTOMATIC[coding] if coding != "deflate" or _is_zlib(packed) else _RAW
    engine, pieces, fresh = zlib.decompressobj(wbits), list[bytes](), 0
    for start in range(0, len(packed), _FED):
        rest = packed[start : start + _FED]
        while rest:
            if engine.eof:
                engine = _next_member(coding)
            rest, size = _part(engine, rest, pieces, grown)
            fresh += size
            if fresh >= _PART:
                fresh = 0
                yield
        yield
    while not engine.eof:
        _, size = _part(engine, b"", pieces, grown)
        if not size:
            raise UnpackableError
        yield
    return b"".join(pieces)


def _part(
    engine: "zlib._Decompress", packed: bytes, pieces: list[bytes], grown: Callable[[int], None]
) -> tuple[bytes, int]:
    """Unpack a part onto ``pieces``; return the bytes that are still packed, and how many were unpacked."""
    try:
        piece = engine.decompress(packed, _PART)
    except zlib.error as error:
        raise UnpackableError from error
    if piece:
        grown(len(piece))
        pieces.append(piece)
    return (engine.unused_data if engine.eof else engine.unconsumed_tail), len(piece)


def _next_member(coding: str) -> "zlib._Decompress":
    """Return a decompressor for the next member; only gzip has several members (RFC 1952, 2.2)."""
    if coding == "deflate":
        raise UnpackableError
    return zlib.decompressobj(_AUTOMATIC[coding])


def _is_zlib(packed: bytes) -> bool:
    """Tell whether a body begins with zlib's header (RFC 1950, 2.2); some clients send deflate without it."""
    return len(packed) > 1 and packed[0] & 15 == 8 and int.from_bytes(packed[:2], "big") % 31 == 0
