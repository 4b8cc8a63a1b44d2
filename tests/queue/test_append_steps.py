"""The number of SQLite steps in a commit of appends: after each, the writer thread may wait for the interpreter.

A step is one call of ``sqlite3_step``: one for each statement, and one for each row that it returns.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import apsw
import pytest
from clock import NOON, Clock
from queues import open_queue
from support import record

from proxy.model.record import Record
from proxy.queue.contract import Stored
from proxy.queue.sqlite.engine import LocalQueue

Make: TypeAlias = Callable[[int], Record]
_STEPS = apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_ROW


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path, Clock())
    await queue.append([record(-1)])
    yield queue
    await queue.close()


async def steps_of(queue: LocalQueue, records: Sequence[Record]) -> tuple[int, list[Stored]]:
    """Append each record by itself, all in one group; return the number of steps of its commit, and the answers."""
    steps: list[Mapping[str, Any]] = []
    trace = queue._store.tables.db.trace_v2
    await queue._writer.do(lambda: None)  # behind the housekeeping after the last append
    await queue._writer.do(lambda: trace(_STEPS, steps.append))
    steps.clear()
    stored = await asyncio.gather(*(queue.append([one]) for one in records))
    await queue._writer.do(lambda: trace(0, None))
    texts = [str(step.get("sql", "")).split(" ", 1)[0] for step in steps]
    return texts.index("COMMIT") - texts.index("BEGIN") + 1, stored


def timed(number: int) -> Record:
    """Return an event with an id of the tag's form, which begins with a time."""
    return record(number)._replace(id=f"{NOON}0.{number}")


def order(number: int, visitor: bytes = b"abcd", worth: bytes = b"9.99") -> Record:
    return record(number, visitor=visitor)._replace(worth=worth)


NEW: dict[str, Make] = {"ids of the page": record, "ids of the tag": timed, "purchases": order}
KNOWN: dict[str, tuple[Make, Make]] = {
    "repeats": (record, record),
    "ids of a cached page": (record, partial(record, visitor=b"efgh")),
    "contradictions": (order, partial(order, visitor=b"efgh", worth=b"0.01")),
}


@pytest.mark.parametrize("make", NEW.values(), ids=NEW)
async def test_a_group_takes_four_steps_however_large_it_is(queue: LocalQueue, make: Make) -> None:
    """The four are: begin, insert the keys of all events, insert their segment, commit."""
    for count in (1, 2, 64):
        steps, stored = await steps_of(queue, [make(1000 * count + number) for number in range(count)])

        assert stored == [Stored()] * count
        assert steps == 4


@pytest.mark.parametrize(("first", "again"), KNOWN.values(), ids=KNOWN)
async def test_a_group_of_what_is_known_takes_a_few_steps_more(queue: LocalQueue, first: Make, again: Make) -> None:
    """The number of steps does not grow with the group, even if each of its events is known already."""
    await queue.append([first(number) for number in range(64)])
    few, _ = await steps_of(queue, [again(number) for number in (0, 1)])
    many, stored = await steps_of(queue, [again(number) for number in range(2, 64)])

    assert len({(len(one.duplicates), one.reused, len(one.conflicts)) for one in stored}) == 1
    assert stored[0] != Stored()
    assert few == many <= 10


async def test_the_segments_of_many_pixels_are_stored_together(queue: LocalQueue) -> None:
    """A group for sixty pixels takes two statements for its sixty segments."""
    steps, _ = await steps_of(queue, [record(number, pixel=str(number)) for number in range(60)])

    assert steps == 5
