"""A quick answer to whether somebody may be suppressed, so that only the few it lets through ask a table.

It has 16 MiB and never grows: one byte for each value of a digest's first three bytes. This byte tells the fourth byte
of the only digest that begins with these three, or that there are several. With a million suppressions, the sieve lets
one in five hundred digests of other people through. Nothing is ever removed, and to remember a digest again changes
nothing; so a process that starts later may fill shared memory from the table once more.
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
    """Return the byte that stands for one digest at its place; never ``_NOBODY`` or ``_SEVERAL``."""
    return 1 + digest[_PLACE_BYTES] % 254
