"""Unpredictable random numbers, read from the system for many requests at once: a system call for each costs more."""

import os
import struct
from collections.abc import Iterator
from functools import partial
from itertools import chain

_BLOCK = 4096
"""Bytes asked for at once."""
_NUMBER = struct.Struct("16s")


def random_numbers() -> Iterator[int]:
    """Return an endless iterator of 128-bit integers. A forked process must make its own, or both yield the same."""
    blocks = iter(partial(os.urandom, _BLOCK), b"")
    return map(int.from_bytes, chain.from_iterable(chain.from_iterable(map(_NUMBER.iter_unpack, blocks))))
