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
UNITS_PER_PAIR = 38
"""Units that a pair of event and pixel costs by itself: the most pairs of a request leave a twentieth for odd data."""
UNITS_PER_ODD_DATA = 50
"""Units that an event's custom data cost if they need repair or cleaning; see ``has_many_events``."""
UNITS_PER_ODD_MEMBER = 15
"""Units of each of their members, or findings, beside the units of its text."""
MOST_TEXT = 4096
"""The most characters of a text that is read; a longer text is treated like a secret."""
MOST_CANDIDATES = 16
"""The most candidates for one shape in one text that are checked; a text with more is treated like a secret."""


class Effort(msgspec.Struct):
    """The units of work left for a request, and results that its events share.

    Code that spends units subtracts them from ``left``; once that is below 0 it stays there. Values that several events
    or pixels share are read once.
    """

    left: int = MOST
    has_many_events: bool = False
    """Whether the request has so many events that the work for each counts, not only the reading of texts."""
    digests: dict[tuple[str, str, str], tuple[str, ...] | None] = {}
    """Hashes by match key, raw value and country; None for an unusable value."""
    blocked: dict[str, bool] = {}
    """Whether a name is blocked, by the name of a parameter or member."""
    shapes: dict[tuple[str, bool], Any] = {}
    """The shape found in a text, by the text and whether it is an id."""
    addresses: dict[str, tuple[str, tuple[str, ...]]] = {}
    """By address in custom data: the part that may leave, and the reason for each removed part."""


def spend_on_odd_data(effort: Effort, members: int) -> None:
    """Take the work for an event's odd custom data from the effort, if the request has many events.

    Args:
        effort: What is left of the request's budget.
        members: How many members were odd.
    """
    if effort.has_many_events:
        effort.left -= UNITS_PER_ODD_DATA + UNITS_PER_ODD_MEMBER * members


def run_parts(parts: Parts[T]) -> T:
    """Do all parts of some work without a pause, and return its result."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            result: T = end.value
            return result
