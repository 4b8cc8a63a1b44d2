"""Suppressed people are known even after a start without the database."""

import asyncio
import os
from pathlib import Path

import pytest

from proxy.queue.sieve import Sieve
from proxy.queue.spool.kept_sieve import FILE, KeptSieve

ANNA, BERT, CARL = (letter * 16 for letter in (b"a", b"b", b"c"))


async def remembered(directory: Path, *digests: bytes) -> None:
    sieve = KeptSieve(directory)
    for digest in digests:
        sieve.remember(digest)
    await asyncio.sleep(0)


async def test_a_start_knows_whom_earlier_ones_knew(tmp_path: Path) -> None:
    """Each process adds the people it learns of to the file, once, and loads them into shared memory too."""
    await remembered(tmp_path, ANNA, ANNA)
    await remembered(tmp_path, ANNA, BERT)
    shared = Sieve()
    KeptSieve(tmp_path, shared)

    assert [shared.may_hold(digest) for digest in (ANNA, BERT, CARL)] == [True, True, False]
    assert (tmp_path / FILE).stat().st_size == 8
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """A power cut may lose the end of the file; only its last entries are lost."""
    await remembered(tmp_path, ANNA, BERT)
    os.truncate(tmp_path / FILE, 6)

    await remembered(tmp_path, CARL)
    sieve = KeptSieve(tmp_path)

    assert [sieve.may_hold(digest) for digest in (ANNA, BERT, CARL)] == [True, False, True]


async def test_a_disk_that_keeps_nothing_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the file cannot be written, this process still knows the people it learnt of."""
    (tmp_path / FILE).mkdir()
    sieve = KeptSieve(tmp_path)
    sieve.remember(ANNA)

    assert sieve.may_hold(ANNA)
    assert "is not kept" in caplog.text
