"""The memory for server request bodies: bounded in all, and shared fairly by the clients that use it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.server.body import BodyRoom, NoRoomError


def test_half_of_it_is_anybodys() -> None:
    """A single client gets half of the room, and no more."""
    room = BodyRoom(100)
    room.take("a", 50)

    with pytest.raises(NoRoomError):
        room.take("a", 1)


def test_who_comes_last_still_gets_in() -> None:
    """Beyond the half each client gets only a part, so that one client's flood leaves room for others."""
    room = BodyRoom(100)
    room.take("flood", 50)
    room.take("b", 20)

    with pytest.raises(NoRoomError):
        room.take("flood", 1)
    with pytest.raises(NoRoomError):
        room.take("c", 31)


def test_what_was_refused_was_not_counted() -> None:
    """A refused body takes no room."""
    room = BodyRoom(100)
    for _ in range(1000):
        with pytest.raises(NoRoomError):
            room.take("a", 51)
    room.take("a", 50)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=60))
def test_what_is_freed_can_be_taken_again(steps: list[tuple[str, int]]) -> None:
    """After any sequence of bodies an empty room is as large as before, and it never held more than its bytes."""
    room, held = BodyRoom(100), list[tuple[str, int]]()
    for network, size in steps:
        try:
            room.take(network, size)
        except NoRoomError:
            if held:
                room.free(*held.pop(0))
            continue
        held.append((network, size))
        assert sum(size for _, size in held) <= 100
    for each in held:
        room.free(*each)
    room.take("a", 50)
    room.take("b", 25)
