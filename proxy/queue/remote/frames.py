"""Frames on the socket between a front and the back: length of the body, number, kind, body.

The process that asks chooses the number, and the answer has the same one; a frame that is not answered has the number
0. Data that is no frame, or a frame longer than any of ours, ends the connection that it came on, and no other.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_HEAD = struct.Struct(">IIB")
MOST_BODY = 96 << 20
"""Most bytes of a body. A group has at most 32 MiB of records or is one request's; its records are sent twice, sealed
in their segments and unsealed."""
LAST_NUMBER = (1 << 32) - 1


class FrameKind(IntEnum):
    """What a frame says."""

    # Of a front
    HELLO = 1
    APPEND = 2
    NOTE = 3
    SUPPRESS = 4
    LIFT = 5
    SUPPRESSED = 6
    MET_ORDERS = 7
    REPORT = 8
    # Of the back
    STATE = 65
    """The state of the queue; the first one answers HELLO. It comes twice a second, so that silence means trouble."""
    DONE = 66
    FAILED = 67


class MalformedFrameError(Exception):
    """Data came on the socket that the other process never sends."""


class Frame(NamedTuple):
    """One frame."""

    kind: FrameKind
    number: int
    body: bytes


def frame_bytes(kind: FrameKind, number: int, body: bytes) -> bytes:
    """Return a frame as it is sent.

    Args:
        kind: What it says.
        number: The number of the question; 0 if there is no answer.
        body: At most ``MOST_BODY`` bytes.

    Raises:
        ValueError: when the body is longer.
    """
    if len(body) > MOST_BODY:
        raise ValueError(f"a frame of {len(body)} bytes; accepted: {MOST_BODY}")
    return _HEAD.pack(len(body), number, kind) + body


class FrameReader:
    """Puts the frames of one connection together."""

    def __init__(self, most_body: int = MOST_BODY) -> None:
        """Begin with nothing; ``most_body`` bounds what is collected for one frame."""
        self._most_body = most_body
        self._collected = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with this data.

        Raises:
            MalformedFrameError: when what comes can never be a frame.
        """
        # Nearly always a piece is one whole frame, which is then copied once.
        if self._collected:
            self._collected += data
        pieces = self._collected or data
        at = 0
        while (frame := self._frame_at(pieces, at)) is not None:
            at += _HEAD.size + len(frame.body)
            yield frame
        if self._collected:
            del self._collected[:at]
        else:
            self._collected += data[at:]

    def _frame_at(self, pieces: bytes | bytearray, at: int) -> Frame | None:
        if len(pieces) - at < _HEAD.size:
            return None
        length, number, kind = _HEAD.unpack_from(pieces, at)
        if length > self._most_body:
            raise MalformedFrameError(f"a frame of {length} bytes")
        start, end = at + _HEAD.size, at + _HEAD.size + length
        if len(pieces) < end:
            return None
        try:
            return Frame(FrameKind(kind), number, bytes(memoryview(pieces)[start:end]))
        except ValueError:
            raise MalformedFrameError(f"a frame of kind {kind}") from None
