"""Random bits out of blocks: every bit of the system's is given out once."""

import os
from itertools import islice

import pytest

from proxy.edge.random_bits import random_numbers


def test_bits_of_a_block_are_given_out_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is asked for when the one before is used up."""
    blocks = [bytes(range(start, start + 32)) for start in (0, 100)]
    asked = iter(blocks)
    monkeypatch.setattr(os, "urandom", lambda _: next(asked))
    numbers = list(islice(random_numbers(), 4))

    expected = [blocks[0][:16], blocks[0][16:], blocks[1][:16], blocks[1][16:]]
    assert [number.to_bytes(16, "big") for number in numbers] == expected


def test_no_two_numbers_of_the_system_are_the_same() -> None:
    """Over several blocks no number comes twice, and all are within their bits."""
    numbers = list(islice(random_numbers(), 2000))

    assert len(set(numbers)) == 2000
    assert 2**120 < max(numbers) < 2**128
