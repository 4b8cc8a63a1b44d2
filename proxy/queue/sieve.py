"""The sieve before the table of suppressions: almost no event is about a suppressed person, and this tells from memory.

It has 16 MiB and never grows: a byte for the first three of a digest, which tells the fourth of the only person it
stands for, or that there are several. A million suppressions let one digest in five hundred through.
"""

from collections.abc import Iterable

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind

_BYTES = 3
START = _BYTES + 1
"""Bytes of a digest that the sieve remembers; the table need not tell more."""
_NOBODY, _SEVERAL = 0, 255
REASONS = {
    SuppressionKind.OPT_OUT: DropReason.OPTED_OUT,
    SuppressionKind.WITHDRAWAL: DropReason.NO_CONSENT,
    SuppressionKind.ERASURE: DropReason.ERASED,
}
"""Why an event about a suppressed person is not sent."""


class Sieve:
    """Lets through whoever may be suppressed; forgets nobody."""

    def __init__(self) -> None:
        self._places = bytearray(1 << 8 * _BYTES)
        self.has_any = False
        """Whether there may be a suppression of anybody."""

    def may_hold(self, digest: bytes) -> bool:
        """Tell whether a digest may be suppressed; safe to call from any thread."""
        found = self._places[_place(digest)]
        return found != _NOBODY and found in (_SEVERAL, _sign(digest))

    def remember(self, digest: bytes) -> None:
        """Let a person through from now on; the first ``START`` bytes of the digest are enough."""
        self.has_any = True
        place, sign = _place(digest), _sign(digest)
        self._places[place] = sign if self._places[place] in (_NOBODY, sign) else _SEVERAL


def refusal(found: Iterable[tuple[SuppressionKind, int]], happened: int) -> DropReason | None:
    """Return what speaks against what people did at a moment in milliseconds; an erasure does if that was before it.

    Args:
        found: Their suppressions, each with when it was made.
        happened: The moment.
    """
    for kind, at in found:
        if kind is not SuppressionKind.ERASURE or happened <= at:
            return REASONS[kind]
    return None


def _place(digest: bytes) -> int:
    return int.from_bytes(digest[:_BYTES], "big")


def _sign(digest: bytes) -> int:
    """Return what a place of the sieve holds for one person: neither nobody's nor several people's."""
    return 1 + digest[_BYTES] % 254
