"""The sieve of suppressions never misses a suppressed person, in memory of its own or shared."""

from mmap import mmap

from hypothesis import given
from hypothesis import strategies as st

from proxy.queue.sieve import Sieve

# Few positions and values, so that the drawn digests collide.
DIGESTS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 255)).map(lambda pair: bytes((0, 0, *pair)) * 4))
SHARED = mmap(-1, Sieve.BYTES)


@given(DIGESTS, DIGESTS)
def test_nobody_who_is_remembered_is_missed(before: list[bytes], after: list[bytes]) -> None:
    """Every remembered digest is found, also by another reader of the memory, whatever else is remembered."""
    SHARED[:2] = b"\0\0"
    writer, reader = Sieve(SHARED), Sieve(SHARED)
    for digest in (*before, *after):
        writer.remember(digest)

    assert all(reader.may_hold(digest) for digest in (*before, *after))


@given(DIGESTS)
def test_to_begin_again_with_the_same_people_changes_nothing(digests: list[bytes]) -> None:
    """Filling shared memory again with the same people changes no byte of it."""
    SHARED[:2] = b"\0\0"
    for digest in digests:
        Sieve(SHARED).remember(digest)
    filled = SHARED[:2]
    for digest in digests:
        Sieve(SHARED).remember(digest)

    assert SHARED[:2] == filled
