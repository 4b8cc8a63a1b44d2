"""Random bits that nobody can guess, asked of the system for many requests at once: a system call for each is dear."""

import os
import struct
from collections.abc import Iterator
from functools import partial
from itertools import chain

_BLOCK = 4096
"""Bytes asked for at once."""
_NUMBER = struct.Struct("16s")


def random_numbers() -> Iterator[int]:
    """Return 128 random bits each time, in their order, without end. A forked process has to begin its own."""
    blocks = iter(partial(os.urandom, _BLOCK), b"")
    return map(int.from_bytes, chain.from_iterable(chain.from_iterable(map(_NUMBER.iter_unpack, blocks))))
