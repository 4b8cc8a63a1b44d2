"""Held and due segments have an index each, so that neither are read for the other; older files get them."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
from clock import NOON, Clock
from held_rig import claimed, figures, held_event, opened
from old_layouts import write_as_layout_7
from support import PIXEL, record, server_record

from proxy.model.server_request import RequestFields
from proxy.queue.contract import Settlement
from proxy.queue.sqlite import arrivals, segment_search
from proxy.queue.sqlite.engine import LocalQueue

SPRING = RequestFields(upload_tag="spring")


async def test_moments_of_the_seventh_layout_keep_their_meaning(tmp_path: Path, clock: Clock) -> None:
    """Events held until later stay held, those due meanwhile are released, and the rest is claimed as before."""
    async with opened(tmp_path, clock) as queue:
        await queue.append([held_event(1, 5), held_event(2, 90), record(3)])
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        write_as_layout_7(db)
    clock.now += 10_000
    async with opened(tmp_path, clock) as queue:
        assert figures(queue.stats()) == (3, 2, 5)
        assert await claimed(queue) == ["id-3", "id-1"]
        assert figures(queue.stats()) == (3, 1, 90)
        clock.now = NOON + 90_000
        assert await claimed(queue) == ["id-2"]


def indexes_of(db: apsw.Connection) -> list[tuple[object, ...]]:
    return db.execute("SELECT name, sql FROM sqlite_schema WHERE type='index' ORDER BY name").fetchall()


async def test_an_upgraded_file_has_the_indexes_of_a_new_one(tmp_path: Path, clock: Clock) -> None:
    """The indexes are equal word by word, as SQLite uses a partial index only if its conditions are the same."""
    async with opened(tmp_path, clock) as queue:
        await queue.append([held_event(1, 5)])
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        new = indexes_of(db)
        write_as_layout_7(db)
        old = indexes_of(db)
    async with opened(tmp_path, clock) as queue:
        upgraded = await queue._writer.do(lambda: indexes_of(queue._store.tables.db))

    assert old != new
    assert upgraded == new


async def plans(queue: LocalQueue, ask: Callable[[], Any]) -> list[str]:
    """Run ``ask`` on the writer thread; return how SQLite finds the segments for each of its statements."""
    db = queue._store.tables.db
    asked: list[tuple[str, Any]] = []

    def listen(_cursor: object, statement: str, values: Any) -> bool:
        asked.append((statement, values))
        return True

    def traced() -> list[str]:
        db.set_exec_trace(listen)
        try:
            ask()
        finally:
            db.set_exec_trace(None)
        explained = [(f"EXPLAIN QUERY PLAN {statement}", values) for statement, values in asked]
        steps: list[Any] = [step for words, values in explained for step in db.execute(words, values).fetchall()]
        return [str(step[-1]) for step in steps if "segment" in str(step[-1]) or "B-TREE" in str(step[-1])]

    return await queue._writer.do(traced)


async def test_no_claim_and_no_look_reads_what_is_held(queue: LocalQueue, clock: Clock) -> None:
    """Claims and looks use an index of due segments only; a release reads only those held segments that are due."""
    await queue.append([held_event(1, 5), record(2), server_record(3, SPRING)])
    (refused,) = await queue.claim(PIXEL, most=1)
    await queue.settle([refused], Settlement(suspects=((refused.ref, 4),)))
    tables, deliveries = queue._store.tables, queue._store.deliveries
    looks = await plans(queue, lambda: arrivals.oldest(tables.db, [PIXEL], ()))
    suspects = await plans(queue, lambda: deliveries.claim(PIXEL, 10, suspect=True))
    claims = await plans(queue, lambda: [deliveries.claim(PIXEL, 1, newest=newest) for newest in (True, False)])
    clock.now += 5000
    releases = await plans(queue, tables.segments._holds.release_due)

    in_lane = "SEARCH segment USING COVERING INDEX segment_lane (pixel=? AND fields"
    found = {step for step in (*looks, *suspects, *claims) if not step.startswith(in_lane)}
    assert looks
    assert suspects
    assert claims
    assert found == {"SEARCH segment USING INTEGER PRIMARY KEY (rowid=?)"}
    assert set(releases) == {
        "SEARCH segment USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH segment USING INDEX segment_held (not_before>? AND not_before<?)",
        "SEARCH segment USING COVERING INDEX segment_held (not_before>?)",
    }


async def test_a_start_counts_what_waits_by_the_indexes(queue: LocalQueue) -> None:
    """Only the number of events is read of each row, so that the encrypted contents stay on the disk."""
    await queue.append([held_event(1, 5), record(2)])
    db = queue._store.tables.db

    assert await plans(queue, lambda: segment_search.count(db)) == [
        "SEARCH segment USING INDEX segment_held (not_before>?)",
        "USE TEMP B-TREE FOR GROUP BY",
        "SCAN segment USING INDEX segment_lane",
    ]


async def test_a_claim_costs_the_same_beside_thousands_of_held_segments(queue: LocalQueue) -> None:
    """It takes as many steps of SQLite's virtual machine as without them."""
    db = queue._store.tables.db

    def steps() -> int:
        counted = 0

        def count() -> bool:
            nonlocal counted
            counted += 1
            return False

        db.set_progress_handler(count, 1)
        segments, _ = queue._store.deliveries.claim(PIXEL, 10)
        db.set_progress_handler(None)
        queue._store.deliveries.release(segments)
        return counted

    await queue.append([record(1)])
    alone = await queue._writer.do(steps)
    await asyncio.gather(*(queue.append([record(n)], not_before=NOON + n) for n in range(2, 3000)))
    beside = await queue._writer.do(steps)

    assert alone > 0
    assert beside == alone
