"""Compressed bodies: gzip and deflate are unpacked completely; malformed data and bombs are refused."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.server.unpacking import UnpackableError, unpacked
from proxy.rules.effort import run_parts


def raw_deflate(content: bytes) -> bytes:
    """Return content as some clients write "deflate": without the zlib header."""
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(content) + engine.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("x-gzip", lambda content: gzip.compress(content[:7]) + gzip.compress(content[7:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without a head": ("deflate", raw_deflate),
}


def nothing(_size: int) -> None:
    """Ignore the size of a part."""


@pytest.mark.parametrize(("coding", "pack"), PACKERS.values(), ids=PACKERS)
@given(st.one_of(st.binary(max_size=2000), st.binary(min_size=1, max_size=9).map(lambda text: text * 200_000)))
def test_what_was_packed_comes_out(coding: str, pack: Callable[[bytes], bytes], content: bytes) -> None:
    """Any content is the same after packing and unpacking, whatever its size is relative to a part."""
    sizes: list[int] = []

    assert run_parts(unpacked(pack(content), coding, sizes.append)) == content
    assert sum(sizes) == len(content)


@pytest.mark.parametrize(("coding", "pack"), PACKERS.values(), ids=PACKERS)
@given(st.data())
def test_what_is_cut_is_refused(coding: str, pack: Callable[[bytes], bytes], data: st.DataObject) -> None:
    """A truncated body is never taken for a whole one, unless the cut is at the end of a gzip member."""
    packed = pack(b"what a server sends" * 100)
    at = data.draw(st.integers(0, len(packed) - 1))
    try:
        found = run_parts(unpacked(packed[:at], coding, nothing))
    except UnpackableError:
        return

    assert found == (b"what a " if coding == "x-gzip" and at else found[:0])
    assert coding == "x-gzip"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(st.binary(min_size=1, max_size=300))
def test_other_bytes_are_refused_or_read(coding: str, content: bytes) -> None:
    """Any bytes are either unpacked or refused by the one error for that."""
    try:
        run_parts(unpacked(content, coding, nothing))
    except UnpackableError:
        return


def test_bytes_behind_a_deflated_body_are_refused() -> None:
    """Bytes after a deflated body are refused; only gzip may have a second member."""
    with pytest.raises(UnpackableError):
        run_parts(unpacked(zlib.compress(b"a") + b"more", "deflate", nothing))


class TooMuchError(Exception):
    """Raised when a test's bound is exceeded."""


def test_a_bomb_ends_at_the_bound() -> None:
    """A bomb of 200 MB in 200 KB is unpacked only up to the bound and one part more."""
    bomb, size = gzip.compress(bytes(200_000_000), 9), 0

    def bound(grown: int) -> None:
        nonlocal size
        size += grown
        if size > 1_000_000:
            raise TooMuchError

    with pytest.raises(TooMuchError):
        run_parts(unpacked(bomb, "gzip", bound))
    assert size < 1_000_000 + (1 << 18) + 1


def test_a_bomb_is_unpacked_in_parts() -> None:
    """A bomb is unpacked in parts of a quarter of a megabyte, between which other tasks can run."""
    sizes: list[int] = []
    parts = unpacked(gzip.compress(bytes(10_000_000), 9), "gzip", sizes.append)

    assert sum(1 for _ in parts) >= 10_000_000 >> 18
    assert max(sizes) <= 1 << 18


def test_empty_members_are_not_a_part_each() -> None:
    """50,000 empty gzip members share fewer than 200 parts, since a turn costs ten times as much as a member."""
    parts = unpacked(gzip.compress(b"") * 50_000, "gzip", nothing)

    assert sum(1 for _ in parts) < 200
