"""A quick answer to whether somebody may be suppressed, so that only the few it lets through ask a table.

It has 16 MiB and never grows: a byte for the first three of a digest, which tells the fourth of the only person it
stands for, or that there are several. A million suppressions let one digest in five hundred through. Nobody is ever
taken out, and to remember somebody again changes nothing; so memory that processes share may be filled again by the
next who begins with the table.
"""

from mmap import mmap

PREFIX = 4
"""Bytes of a digest that the sieve looks at."""
_PLACE_BYTES = 3
_NOBODY, _SEVERAL = 0, 255


class Sieve:
    """Read by any thread and process; written by one."""

    BYTES = 1 << 8 * _PLACE_BYTES

    def __init__(self, memory: bytearray | mmap | None = None) -> None:
        """Begin with memory of ``BYTES`` bytes, or with empty memory of its own."""
        self.memory = bytearray(self.BYTES) if memory is None else memory

    def remember(self, digest: bytes) -> None:
        """Let ``may_hold`` be true of a digest, of which the first ``PREFIX`` bytes are enough."""
        place, sign = _place(digest), _sign(digest)
        self.memory[place] = sign if self.memory[place] in (_NOBODY, sign) else _SEVERAL

    def may_hold(self, digest: bytes) -> bool:
        """Tell whether a digest may have been remembered; never False for one that was."""
        found = self.memory[_place(digest)]
        return found != _NOBODY and found in (_SEVERAL, _sign(digest))


def _place(digest: bytes) -> int:
    return int.from_bytes(digest[:_PLACE_BYTES], "big")


def _sign(digest: bytes) -> int:
    """Return what a place holds for one person: neither nobody's nor several people's."""
    return 1 + digest[_PLACE_BYTES] % 254
