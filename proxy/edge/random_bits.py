"""Random bits that nobody can guess, asked of the system for many requests at once: a system call for each is dear."""

import os

_BLOCK = 4096
"""Bytes asked for at once."""


class RandomBits:
    """The system's random bits, in their order, each given out once. A forked process has to make its own."""

    def __init__(self) -> None:
        self._block = b""
        self._at = 0

    def __call__(self, bits: int) -> int:
        """Return so many bits, a multiple of 8 and at most a block, as a number."""
        start, self._at = self._at, self._at + bits // 8
        if self._at > len(self._block):
            self._block, start, self._at = os.urandom(_BLOCK), 0, bits // 8
        return int.from_bytes(self._block[start : self._at], "big")
