"""The move from SQLite: everything arrives once, even if the process ends or an answer is lost on the way."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import old_queue
import pytest
from clock import Clock
from old_queue import ANNA, BERT, MANY, ORDER
from postgres_server import Cluster
from shared_books import Books
from support import PIXEL, SECRET, until

from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Filter, QueueBrokenError
from proxy.queue.keys import event_key, server_key, visit_key
from proxy.queue.postgres import orders, seen
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.from_sqlite import OldQueue
from proxy.queue.postgres.old_file import FilePlace, Slice
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import open_writer

TABLES = ("segment", "dead", "mark", "order_memory", "unsent_order", "sighting", "sighting_slot")


def moving(books: Books, directory: Path, database: Any = None) -> OldQueue:
    path = directory / "queue.db"
    return OldQueue(path, books.sealer, database or books.database, books.dead, books.clock)


async def rows(books: Books, table: str) -> int:
    ((count,),) = await books.database.run(Role.BOOKS, f"SELECT count(*) FROM {table}")
    return int(count)


async def shared_segments(books: Books) -> list[tuple[Any, ...]]:
    names = "lane, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed"
    found = []
    for row in await books.database.run(Role.BOOKS, f"SELECT {names} FROM segment"):
        *facts, skip, fields, sealed = row
        found.append((*facts, skip or [], fields, old_queue.opened(facts[0], sealed)))
    return sorted(found)


async def assert_all_arrived(books: Books, directory: Path, expected_dead: list[Any]) -> None:
    """Compare the database with the file, which has been renamed by then."""
    name = "queue.db.moved"
    assert sorted(path.name for path in directory.glob("queue*")) == [name]  # noqa: ASYNC240 - nobody waits
    assert await shared_segments(books) == old_queue.segments(directory, name)
    dead = await books.archive.dead_letters(Filter(limit=1000))
    assert [replace(each, id=0) for each in dead] == expected_dead
    assert len({each.id for each in dead}) == len(dead)
    for table in ("mark", "unsent_order", "sighting", "sighting_slot"):
        ((count,),) = old_queue.read(directory, f"SELECT count(*) FROM {table}", name)
        assert (table, await rows(books, table)) == (table, count)
    kept = await books.database.run(Role.BOOKS, "SELECT key FROM seen_0")
    assert {row["key"] for row in kept} == old_queue.memory(directory, name)


@pytest.fixture(name="old")
async def _old(tmp_path: Path, clock: Clock) -> Path:
    """Return a data_dir with a queue of the SQLite engine."""
    await old_queue.fill(tmp_path, clock)
    return tmp_path


async def test_everything_is_moved_and_the_file_renamed(books: Books, old: Path) -> None:
    """Segments with all their columns, dead letters, suppressions, both memories and sightings arrive."""
    expected = await old_queue.dead_letters(old, books.clock)
    before = old_queue.segments(old)
    await moving(books, old).run()

    await assert_all_arrived(books, old, expected)
    assert await shared_segments(books) == before
    assert (len(before), len(expected)) == (MANY + 5, 4)


async def test_what_was_moved_is_known(books: Books, old: Path) -> None:
    """After the move repeats, orders and sightings are found, and suppressions are known."""
    await moving(books, old).run()
    now = books.clock()

    async def look(run: Run) -> None:
        known, unknown = (visit_key(event_key(PIXEL, "PageView", each), b"abcd") for each in ("id-11", "none"))
        keys = sorted([known, unknown])
        answer = await seen.find(run, seen.SeenLookup(keys, [b""] * 2, [3] * 2), 0)
        assert answer.stored_before == {known: 1}
        sold = server_key(event_key(PIXEL, "Purchase", "id-20"))
        assert (await seen.find(run, seen.SeenLookup([sold], [b"4321"], [3]), 0)).stored_before == {sold: 3}
        assert await orders.known_server_orders(run, PIXEL, [ORDER, b"n" * 16], now) == {ORDER: b"1234"}
        found = await SharedSightings(books.sealer).find(run, [(7).to_bytes(16, "big"), (99).to_bytes(16, "big")])
        assert [(each.id, each.forbidden) for some in found.values() for each in some.values()] == [
            ("s7", ""),
            ("", "gpc"),
        ]
        suppressions = SharedSuppressions()
        await suppressions.catch_up(run)
        assert await suppressions.kinds_of(run, [b"c" * 16]) == set(SuppressionKind)
        while await SharedSightings(books.sealer).erase(run, [ANNA]):
            pass
        assert await SharedSightings(books.sealer).find(run, [(7).to_bytes(16, "big")]) == {}
        await SharedSightings(books.sealer).erase(run, [BERT])

    await books.database.transact(Role.BOOKS, look)
    # A forbidden sighting has no person digests, so an erasure does not find it.
    assert (await rows(books, "sighting"), await rows(books, "sighting_slot")) == (1, 2)


class Losing:
    """A database of which a request or an answer is often lost, before or after the commit."""

    def __init__(self, books: Books, chance: random.Random) -> None:
        self._books = books
        self._chance = chance

    async def transact(self, role: Role, work: Callable[[Run], Coroutine[Any, Any, Any]]) -> Any:
        fate = self._chance.random()
        if fate < 0.3:
            raise DatabaseAwayError("nobody answered")
        result = await self._books.database.transact(role, work)
        if fate < 0.6:
            raise DatabaseAwayError("the answer was lost")
        return result


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
async def test_lost_answers_and_restarts_make_nothing_twice(
    books: Books, old: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Though most answers are lost and the move is started again and again, each thing arrives once."""
    monkeypatch.setattr("proxy.queue.postgres.from_sqlite._AGAIN_S", 0)
    monkeypatch.setattr("proxy.queue.postgres.old_file._SEALED", 20)
    monkeypatch.setattr("proxy.queue.postgres.old_file._KEYS", 50)
    expected = await old_queue.dead_letters(old, books.clock)
    chance = random.Random(seed)  # noqa: S311 - the same each time
    starts = 0
    while (old / "queue.db").exists():
        move = moving(books, old, Losing(books, chance))
        task = asyncio.create_task(move.run())
        await asyncio.wait((task,), timeout=chance.random() / 4)
        move.close()
        await task
        starts += 1

    await assert_all_arrived(books, old, expected)
    assert starts > 1


async def test_what_was_delivered_meanwhile_does_not_come_back(books: Books, old: Path) -> None:
    """A segment that was delivered while the move went on is not copied again by the next start."""
    first = moving(books, old)
    first._renamed = lambda: ""  # type: ignore[method-assign]  # as if the process ended here
    await first.run()
    await books.database.run(Role.BOOKS, "DELETE FROM segment")
    await books.database.run(Role.BOOKS, "DELETE FROM mark")
    await books.archive.discard([1, 2, 3, 4, 5, 6])
    await moving(books, old).run()

    assert [await rows(books, table) for table in ("segment", "mark", "dead")] == [0, 0, 0]
    assert (old / "queue.db.moved").exists()


PROGRAM = """
import asyncio, sys
from pathlib import Path
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.from_sqlite import OldQueue
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres import old_file
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import open_writer

async def main(url, schema, secret, path, now):
    old_file._SEALED = 5
    sealer = Sealer(secret)
    database = make_database(url, sealer, schema=schema, commit_timeout=30.0)
    await database.start(30.0)
    dead = SharedDeadLetters(sealer)
    transact = database.transact

    async def slowly(*arguments):
        await asyncio.sleep(0.03)
        return await transact(*arguments)

    database.transact = slowly
    move = OldQueue(Path(path), sealer, database, dead, lambda: now)
    print("begun", flush=True)
    await move.run()
    await database.close()

asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
"""


@pytest.mark.long
async def test_a_killed_process_loses_nothing_and_makes_nothing_twice(
    books: Books, old: Path, postgres: Cluster, schema: str
) -> None:
    """The process is killed in the middle again and again until one start finishes."""
    expected = await old_queue.dead_letters(old, books.clock)
    arguments = (postgres.url(), schema, SECRET, str(old / "queue.db"), str(books.clock()))
    kills = 0
    while (old / "queue.db").exists():
        move = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, *arguments), stdout=asyncio.subprocess.PIPE
        )
        assert move.stdout
        await move.stdout.readline()
        before = await rows(books, "segment")

        async def has_come_further(before: int = before, move: asyncio.subprocess.Process = move) -> bool:
            return move.returncode is not None or await rows(books, "segment") > before + 15

        await until(has_come_further, what="some segments")
        if move.returncode is None:
            kills += 1
            os.kill(move.pid, signal.SIGKILL)
        await move.wait()

    await assert_all_arrived(books, old, expected)
    assert kills > 2


async def test_two_installations_come_together(books: Books, other: Books, old: Path, tmp_path_factory: Any) -> None:
    """Two machines may move their files at the same time, and neither hides anything of the other's."""
    second = tmp_path_factory.mktemp("second")
    await old_queue.fill(second, books.clock, many=3)
    await asyncio.gather(moving(books, old).run(), moving(other, second).run())

    assert await rows(books, "segment") == MANY + 5 + 3 + 5
    assert len(await books.archive.dead_letters(Filter(limit=100))) == 8


async def test_what_an_old_secret_sealed_is_sealed_with_the_new(books: Books, old: Path) -> None:
    """Only this machine has the old secret, so everything is sealed with the new one, which every proxy has."""
    books.sealer = Sealer("a new secret of thirty-two bytes or more", [SECRET])
    await moving(books, old).run()
    new = Sealer("a new secret of thirty-two bytes or more")

    for table in ("segment", "dead", "sighting"):
        found = await books.database.run(Role.BOOKS, f"SELECT sealed FROM {table}")
        assert found
        assert all(new.has_secret_of(row["sealed"]) for row in found)


async def test_a_file_of_another_secret_is_left_alone(books: Books, old: Path) -> None:
    """The start is refused with that reason, and the file stays as it is."""
    books.sealer = Sealer("another secret of thirty-two bytes, or more")
    with pytest.raises(QueueBrokenError, match="secret"):
        moving(books, old)
    assert (old / "queue.db").exists()


async def test_a_damaged_segment_is_moved_as_it_is(books: Books, old: Path) -> None:
    """A damaged segment stops nothing, and is not thrown away."""
    db = open_writer(old / "queue.db")
    db.execute("UPDATE segment SET sealed = substr(sealed, 1, 60) WHERE id = 3")
    ((damaged,),) = db.execute("SELECT sealed FROM segment WHERE id = 3").fetchall()
    db.close()
    await moving(books, old).run()

    found = await books.database.run(Role.BOOKS, "SELECT sealed FROM segment")
    assert bytes(damaged) in {row["sealed"] for row in found}  # type: ignore[arg-type]  # a blob
    assert len(found) == MANY + 5


async def test_a_file_that_cannot_be_read_to_its_end_stays(books: Books, old: Path) -> None:
    """What could be read is in the database, the file keeps its name, and the next start tries again."""
    move = moving(books, old)
    unread = move._file.segments

    def broken(place: FilePlace) -> Slice:
        if place.number:
            raise apsw.CorruptError("database disk image is malformed")
        return unread(place)

    move._parts = {**move._parts, "segments": move._parts["segments"]._replace(read=broken)}
    await move.run()
    some = await rows(books, "segment")
    assert (old / "queue.db").exists()
    await moving(books, old).run()

    assert 0 < some <= MANY + 5
    assert await rows(books, "segment") == MANY + 5


async def test_an_earlier_file_is_not_overwritten(books: Books, old: Path) -> None:
    """After a return to SQLite and a second move, both files are kept."""
    (old / "queue.db.moved").write_text("earlier")
    await moving(books, old).run()

    assert (old / "queue.db.moved").read_text() == "earlier"
    assert (old / "queue.db.moved1").exists()
