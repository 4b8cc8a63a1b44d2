"""Random bits from blocks: each bit of the operating system is used once."""

import os
from itertools import islice

import pytest

from proxy.edge.random_bits import random_numbers


def test_bits_of_a_block_are_given_out_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits of a block are used in order, and a new block is read when the last is used up."""
    blocks = [bytes(range(start, start + 32)) for start in (0, 100)]
    asked = iter(blocks)
    monkeypatch.setattr(os, "urandom", lambda _: next(asked))
    numbers = list(islice(random_numbers(), 4))

    expected = [blocks[0][:16], blocks[0][16:], blocks[1][:16], blocks[1][16:]]
    assert [number.to_bytes(16, "big") for number in numbers] == expected


def test_no_two_numbers_of_the_system_are_the_same() -> None:
    """Over several blocks no number repeats, and all have at most the requested bits."""
    numbers = list(islice(random_numbers(), 2000))

    assert len(set(numbers)) == 2000
    assert 2**120 < max(numbers) < 2**128
