"""A long list of events → its elements, read in pieces: reading megabytes without a pause would make visitors wait.

Where a piece may end is guessed: before a text that begins like the first element. Then the piece is read as a list of
its own. If that succeeds, the guess was right: how JSON is read depends on nothing that comes later, so a reader of the
whole list would come to the same comma by the same elements. If it fails, the caller reads the rest of the list at
once.
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
    """What was read ahead of a list."""

    elements: list[msgspec.Raw]
    """The first elements; only a few more than a request may have are kept."""
    number: int
    """How many elements were read ahead."""
    rest: int
    """Where the other elements begin: an index of the content."""


NOTHING_AHEAD = Ahead([], 0, 0)


def elements_ahead(content: bytes, start: int) -> Parts[Ahead]:
    """Read elements of a list in parts, as long as the guesses are right; the last element is never among them.

    Args:
        content: The bytes that hold the list.
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
    """Return how the first element begins, up to its first colon; empty if that is no event, or unusually long."""
    text = content[start : start + _MOST_BEGINNING].lstrip(_BLANKS)
    name, colon, _ = text.partition(b":")
    return name if colon and name.startswith((b"{", b'"')) else b""


def _next_cut(content: bytes, beginning: bytes, start: int) -> int:
    """Return where an element seems to begin, about a piece after ``start``; -1 if none is found."""
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
    """Return why a text is no JSON; without the position, if the text is only the rest of what was sent."""
    why = str(error)[:80]
    return why.partition(" (byte")[0] if is_rest else why
