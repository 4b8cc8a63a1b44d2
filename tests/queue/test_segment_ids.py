"""Ids of segments in the shared queue."""

import uuid

from clock import NOON

from proxy.queue.postgres.segment_table import new_id


def test_ids_of_one_process_are_in_order() -> None:
    """Ids are UUIDs of version 7 that begin with their time; ids of one time increase."""
    ids = [new_id(NOON + number // 20_000) for number in range(60_000)]

    assert ids == sorted(set(ids))
    for each in (ids[0], ids[-1]):
        made = uuid.UUID(bytes=each)
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(ids[0][:6], "big") == NOON
