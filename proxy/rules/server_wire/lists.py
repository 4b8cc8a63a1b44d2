"""A long list of events → its elements, taken a piece at a time: to read megabytes at a stretch keeps visitors waiting.

Where a piece may end is guessed: before what looks like the beginning of the first element. Then it is read as a list
of its own. If that succeeds, the guess was right: what a reader makes of JSON depends on nothing that comes later, so
whoever reads the whole list comes past the same elements to the same comma. If it fails, the rest is left to others.
"""

from typing import NamedTuple

import msgspec

from proxy.rules import server_limits
from proxy.rules.effort import Parts
from proxy.rules.json_text import decoded

LIST = msgspec.json.Decoder(list[msgspec.Raw])
_PIECE = 128 * 1024
_MOST_BEGINNING, _MOST_GUESSES, _MOST_BLANKS = 80, 8, 40
_BLANKS = b" \t\r\n"
_ENDS = (b"}", b'"')


class Ahead(NamedTuple):
    """What was taken of a list."""

    elements: list[msgspec.Raw]
    """The first ones; no more than a little over what a request may have are kept."""
    number: int
    """How many they were."""
    rest: int
    """Where the others begin."""


NOTHING_AHEAD = Ahead([], 0, 0)


def elements_ahead(content: bytes, start: int) -> Parts[Ahead]:
    """Take elements of a list in parts, as far as guesses lead; never the last one.

    Args:
        content: Holds the list.
        start: Where its first element begins, or blanks before it.
    """
    elements: list[msgspec.Raw] = []
    count = 0
    beginning = _beginning(content, start)
    while beginning and (end := _next_cut(content, beginning, start)) > 0:
        try:
            found = decoded(LIST, b"[%b]" % content[start:end].rstrip(_BLANKS)[:-1])
        except (msgspec.DecodeError, RecursionError):
            break
        count += len(found)
        if len(elements) <= server_limits.EVENTS:
            elements += found
        start = end
        yield
    return Ahead(elements, count, start)


def _beginning(content: bytes, start: int) -> bytes:
    """Return how the first element begins, up to its first value; nothing where it is no object, or oddly long."""
    text = content[start : start + _MOST_BEGINNING].lstrip(_BLANKS)
    name, colon, _ = text.partition(b":")
    return name if colon and name.startswith((b"{", b'"')) else b""


def _next_cut(content: bytes, beginning: bytes, start: int) -> int:
    """Return where an element seems to begin, about a piece further; -1 where none does."""
    low = start + _PIECE
    for _ in range(_MOST_GUESSES):
        at = content.find(beginning, low, low + server_limits.EVENT)
        if at < 0:
            break
        before = content[at - _MOST_BLANKS : at].rstrip(_BLANKS)
        if before.endswith(b",") and before[:-1].rstrip(_BLANKS).endswith(_ENDS):
            return at
        low = at + 1
    return -1


def reason(error: Exception, *, is_rest: bool) -> str:
    """Return why something is no JSON; not where, if it is a rest that nobody sent so."""
    why = str(error)[:80]
    return why.partition(" (byte")[0] if is_rest else why
