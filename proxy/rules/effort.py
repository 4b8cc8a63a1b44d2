"""How closely a stranger's request is read: a budget of work, so that no body costs more than a few milliseconds.

What is bounded is counted, not timed, so the same request always gets the same answer. Large requests are worked on in
parts, so that others have their turn between them.
"""

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")
Parts: TypeAlias = Generator[None, None, T]
"""Work that pauses after each part of a millisecond or two; the last part returns the result."""

MOST = 16_000
"""Units of one request. A unit is a character read by one pattern: some 20 to 200 ns."""
PAIR = 30
"""Units that a pair of event and pixel costs by itself: as many as a request may hold leave a quarter for odd texts."""
MOST_TEXT = 4096
"""Characters of a text that is read; a longer one is taken for the worst."""
MOST_CANDIDATES = 16
"""Candidates for one shape in one text that are proved; a text with more is taken for the worst."""


class Effort(msgspec.Struct):
    """The units of work left for a request, and results that its events share.

    Whoever spends units takes them from ``left``; once that is below 0 it stays there. What several events or pixels
    say alike is read once.
    """

    left: int = MOST
    digests: dict[tuple[str, str, str], tuple[str, ...] | None] = {}
    """By match key, raw value and country."""
    blocked: dict[str, bool] = {}
    """By name of a parameter or member."""
    shapes: dict[tuple[str, bool], Any] = {}
    """By text, and whether it is an id."""
    addresses: dict[str, tuple[str, tuple[str, ...]]] = {}
    """By address in custom data: what of it may leave, and for what each removed part was taken."""


def whole(parts: Parts[T]) -> T:
    """Do all parts of a work at a stretch."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            result: T = end.value
            return result
