"""The spool: events acknowledged while the database is away stay there, complete, until the database has them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from machine import ROOT
from spool_rig import SEALER, FakeDatabase, Sieve, grouped, open_spool
from support import record, server_record, until
from vfs import Before, failing, installed

from proxy.model.join import Join, JoinKind, Sighting, Twin
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import Append
from proxy.queue.seal import Sealer, SealError
from proxy.queue.spool.draining import MOST_EVENTS, Draining
from proxy.queue.spool.spool import Spool
from proxy.queue.spool.spool_file import FILE, ROW_BYTES, SpoolKind
from proxy.queue.spool.spooled_appends import _SpooledRecord, open_appends, seal_appends
from proxy.queue.spool.spooling import Spooling

SIGHTING = Sighting("shop", ((JoinKind.ORDER, b"k" * 16),), "Purchase", "id-1", 1, b"12345678", fbp="fb.1.1.1")
JOIN = Join("shop", ((JoinKind.EMAIL, b"k" * 16),), "drop", 7)


@pytest.fixture(name="spool")
async def _spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = open_spool(tmp_path)
    yield spool
    await spool.close()


def draining(spool: Spool, database: FakeDatabase, found: list[Stored] | None = None) -> Draining:
    heard = [] if found is None else found
    return Draining(spool, database, SEALER, here=lambda: database.is_here, found=heard.append)


async def drained(spool: Spool, database: FakeDatabase, found: list[Stored] | None = None) -> None:
    steps = draining(spool, database, found)
    while await steps.step():
        pass


def spooling(database: FakeDatabase, spool: Spool | None) -> Spooling:
    return Spooling(database, spool, SEALER, database.direct)


@pytest.mark.parametrize(
    "append",
    [
        Append([record(1), record(2, visitor=b"")._replace(shared=b'{"a":1}'), record(3)._replace(shared=b'{"a":1}')]),
        Append([server_record(1, RequestFields(partner_agent="x"), "app")._replace(order=b"o" * 16, pending=JOIN)], 5),
        Append([record(1)._replace(pending=Twin(b"o" * 16, "drop"), findings=("id:conflict",), not_before=7)]),
        Append([record(1)._replace(person_digests=(b"p" * 16, b"q" * 16), worth=b"1234", bot_reason="ua")]),
        Append([], 0, (SIGHTING,)),
    ],
    ids=["shared", "joined", "twin", "person", "sighting"],
)
def test_appends_come_back_as_they_were(append: Append) -> None:
    """An append is read from the spool unchanged."""
    assert open_appends(seal_appends([append, Append([record(9)])], SEALER), SEALER) == [append, Append([record(9)])]


def test_every_field_of_a_record_is_spooled() -> None:
    """A field that is added to records must be added to the spool too."""
    assert _SpooledRecord._fields == Record._fields


def written_by(version: Callable[[list[Any]], list[Any]]) -> bytes:
    """Return a sealed group of a version whose records have other fields."""
    appends, shared = msgspec.msgpack.decode(SEALER.open(seal_appends([Append([record(1)])], SEALER), b"spool"))
    appends[0][0] = [version(fields) for fields in appends[0][0]]
    return SEALER.seal(msgspec.msgpack.encode((appends, shared)), b"spool")


def test_an_older_version_may_have_known_less() -> None:
    """A record that was spooled before a field existed gets the field's default."""
    assert open_appends(written_by(lambda fields: fields[:8]), SEALER) == [Append([record(1)])]


@pytest.mark.parametrize("change", [lambda fields: [*fields, "new"], lambda fields: [7, *fields[1:]]])
def test_what_a_newer_version_wrote_is_left_to_it(change: Callable[[list[Any]], list[Any]]) -> None:
    """A group with an unknown field stays where it is, since the field may change where an event goes."""
    with pytest.raises(ValueError, match="not the form"):
        open_appends(written_by(change), SEALER)


def test_a_spool_needs_its_secret() -> None:
    """Nothing of a spooled event can be read without its secret, and another secret does not open it."""
    sealed = seal_appends([Append([record(1)])], SEALER)

    assert b"id-1" not in sealed
    with pytest.raises(SealError):
        open_appends(sealed, Sealer("another secret of more than 32 bytes"))


async def test_what_comes_while_the_database_is_away_reaches_it_later(spool: Spool) -> None:
    """An append is acknowledged at once, spooled, and stored once the database is available."""
    database = FakeDatabase(is_here=False)

    assert await spooling(database, spool).store_and_wait(grouped([record(1)], [record(2), record(3)])) == [
        Stored(),
        Stored(),
    ]
    assert spool.events == 3
    database.is_here = True
    await drained(spool, database)

    assert database.known == {f"id-{number}": record(number) for number in (1, 2, 3)}
    assert spool.empty


async def test_no_answer_is_no_loss_and_no_second_event(spool: Spool) -> None:
    """A group that the database stored without answering is spooled and drained, but not reported as a repeat."""
    database, found = FakeDatabase(lose_answers=1), list[Stored]()

    assert await spooling(database, spool).store_and_wait(grouped([record(1)])) == [Stored()]
    database.is_here = True
    await drained(spool, database, found)

    assert list(database.known) == ["id-1"]
    assert found == []


async def test_repeats_are_found_while_draining(spool: Spool) -> None:
    """Repeats that could not be reported to their caller are reported while draining."""
    database, found = FakeDatabase(), list[Stored]()
    spools = spooling(database, spool)
    await spools.store_and_wait(grouped([record(1)]))
    database.is_here = False
    await spools.store_and_wait(grouped([record(1)], [record(2)]))
    database.is_here = True
    await drained(spool, database, found)

    assert found == [Stored((record(1),)), Stored()]


async def test_an_answer_that_is_lost_while_draining_makes_no_repeats(spool: Spool) -> None:
    """A row is sent again until it is answered, and is then not reported as a repeat of itself."""
    database, found = FakeDatabase(is_here=False), list[Stored]()
    await spooling(database, spool).store_and_wait(grouped([record(1)]))
    drain = draining(spool, database, found)
    database.is_here, database.lose_answers = True, 1
    with pytest.raises(QueueError, match="no answer"):
        await drain.step()
    assert spool.events == 1

    database.is_here = True
    assert await drain.step()
    assert spool.empty
    assert found == []


async def test_suppressions_go_first(spool: Spool) -> None:
    """Suppressions are drained before everything else, and notes after everything else."""
    database = FakeDatabase(is_here=False)
    spools = spooling(database, spool)
    await spool.put(SpoolKind.NOTES, b"n")
    await spools.store_and_wait(grouped([record(1)]))
    await spool.put(SpoolKind.SUPPRESSION, b"s")
    assert spool.suppressions == 1
    database.is_here = True
    await drained(spool, database)

    assert database.steps == ["suppression s", "id-1", "notes n"]
    assert spool.suppressions == 0


async def test_many_groups_are_stored_as_one(spool: Spool) -> None:
    """Small groups are joined into statements of some hundred events; a larger group is one statement."""
    database = FakeDatabase(is_here=False)
    spools = spooling(database, spool)
    for first in range(0, 1200, 40):
        await spools.store_and_wait(grouped([record(number) for number in range(first, first + 40)]))
    await spools.store_and_wait(grouped([record(number) for number in range(2000, 2000 + MOST_EVENTS + 1)]))
    database.is_here = True
    await drained(spool, database)

    assert database.statements == [480, 480, 240, MOST_EVENTS + 1]


async def test_what_no_table_takes_stays_and_holds_up_nobody(tmp_path: Path) -> None:
    """Other groups are stored while one that the database refuses stays; the next start tries it again."""
    spool = open_spool(tmp_path)
    database = FakeDatabase(is_here=False, refuse="id-2")
    spools = spooling(database, spool)
    for number in (1, 2, 3):
        await spools.store_and_wait(grouped([record(number)]))
    database.is_here = True
    await drained(spool, database)
    assert sorted(database.known) == ["id-1", "id-3"]
    assert spool.events == 1
    await spool.close()

    database.refuse = ""
    again = open_spool(tmp_path)
    await drained(again, database)
    assert sorted(database.known) == ["id-1", "id-2", "id-3"]
    await again.close()


async def test_nothing_about_the_suppressed_rests(spool: Spool) -> None:
    """Events of people who may be suppressed are refused while the database cannot decide; others are not."""
    database = FakeDatabase(is_here=False)
    person = record(1)._replace(person_digests=(b"p" * 16,))
    sighting = SIGHTING._replace(person_digests=(b"p" * 16,))
    group = grouped([person], [record(2)], Append([record(3)], 0, [sighting]), sieve=Sieve(b"p" * 16))
    outcome = await spooling(database, spool).store_and_wait(group)

    assert not isinstance(outcome, QueueError)
    assert [isinstance(each, QueueError) for each in outcome] == [True, False, True]
    database.is_here = True
    await drained(spool, database)
    assert list(database.known) == ["id-2"]


async def test_without_a_spool_whoever_comes_is_refused() -> None:
    """Without a spool nothing is acknowledged while the database is away."""
    outcome = await spooling(FakeDatabase(is_here=False), None).store_and_wait(grouped([record(1)]))

    assert isinstance(outcome, QueueError)
    assert "away: unplugged" in str(outcome)


async def test_a_full_spool_refuses(tmp_path: Path) -> None:
    """Above its bound, or below the disk's reserve, the spool refuses; what it has stays and is drained."""
    spool = open_spool(tmp_path, most_bytes=2 * (ROW_BYTES + 3))
    await spool.put(SpoolKind.NOTES, b"abc")
    await spool.put(SpoolKind.NOTES, b"abc")
    with pytest.raises(QueueFullError, match="spool_max_bytes"):
        await spool.put(SpoolKind.NOTES, b"abc")
    await drained(spool, FakeDatabase())
    await spool.put(SpoolKind.NOTES, b"abc")
    await spool.close()

    full = open_spool(tmp_path, min_free_bytes=1 << 62)
    outcome = await spooling(FakeDatabase(is_here=False), full).store_and_wait(grouped([record(1)]))
    assert isinstance(outcome, QueueFullError)
    await full.close()


async def test_an_outage_leaves_no_large_file(spool: Spool, tmp_path: Path) -> None:
    """Once everything is drained, the file's space is freed."""
    for _ in range(40):
        await spool.put(SpoolKind.NOTES, os.urandom(100_000))
    assert (tmp_path / FILE).stat().st_size + (tmp_path / f"{FILE}-wal").stat().st_size > 3_000_000
    await drained(spool, FakeDatabase())

    assert (tmp_path / FILE).stat().st_size + (tmp_path / f"{FILE}-wal").stat().st_size < 100_000


async def test_the_drain_runs_by_itself(spool: Spool) -> None:
    """Draining begins when something is put, stops while the database is away, and continues when it is woken."""
    database = FakeDatabase()
    drain = draining(spool, database)
    drain.start()
    await spool.put(SpoolKind.NOTES, b"1")
    await until(lambda: spool.empty)
    database.is_here = False
    await spool.put(SpoolKind.NOTES, b"2")
    assert not spool.empty
    database.is_here = True
    drain.wake()
    await until(lambda: spool.empty)
    await drain.close()

    assert database.steps == ["notes 1", "notes 2"]


async def test_new_appends_do_not_wait_for_the_drain(spool: Spool) -> None:
    """While old groups are drained, new appends go directly to the database."""
    database = FakeDatabase(is_here=False)
    spools = spooling(database, spool)
    await spools.store_and_wait(grouped([record(1)]))
    database.is_here = True
    database.gate.clear()
    drain = draining(spool, database)
    drain.start()
    direct = asyncio.ensure_future(spools.store_and_wait(grouped([record(2)])))
    database.gate.set()

    assert await direct == [Stored()]
    await until(lambda: spool.empty)
    await drain.close()


async def test_a_broken_disk_is_told(tmp_path: Path) -> None:
    """A file that is no spool is refused at the start, with advice."""
    (tmp_path / FILE).write_bytes(b"no database" * 1000)

    with pytest.raises(QueueBrokenError, match="keep a copy"):
        open_spool(tmp_path)


async def test_a_start_takes_nothing_for_a_repeat_of_itself(tmp_path: Path) -> None:
    """A row whose process was killed after the database's answer is sent again, but not reported as a repeat."""
    database, found = FakeDatabase(is_here=False), list[Stored]()
    spool = open_spool(tmp_path)
    await spooling(database, spool).store_and_wait(grouped([record(1)]))
    await spool.close()
    database.is_here = True
    await database.append([Append([record(1)])], 0)

    again = open_spool(tmp_path)
    await drained(again, database, found)
    await again.close()
    assert found == []
    assert again.empty


async def test_an_append_that_takes_several_steps_keeps_to_the_limit(spool: Spool) -> None:
    """A caller is answered within the limit, whatever the database still does; that then makes a repeat."""
    database = FakeDatabase(commit_timeout=0.05)
    database.gate.clear()

    assert await spooling(database, spool).store_and_wait(grouped([record(1)])) == [Stored()]
    assert spool.events == 1
    database.gate.set()
    await until(lambda: database.known, what="the late append")
    await drained(spool, database)
    assert database.steps == ["id-1", "id-1"]


async def test_what_is_large_is_read_in_parts(spool: Spool) -> None:
    """However large groups are, only some megabytes are in memory at once."""
    for _ in range(4):
        await spool.put(SpoolKind.NOTES, bytes(5 << 20))

    assert len(await spool.oldest(MOST_EVENTS)) == 1


@pytest.mark.parametrize(
    ("error", "told"), [(apsw.FullError, QueueFullError), (apsw.IOError, QueueBrokenError)], ids=["full", "failed"]
)
async def test_a_disk_that_fails_acknowledges_nothing(
    tmp_path: Path, error: type[apsw.Error], told: type[QueueError]
) -> None:
    """A full disk refuses until it has space again; after a failed write or fsync nothing is accepted any more."""
    fail: Before | None = None
    broken: list[QueueBrokenError] = []

    def before(*operation: Any) -> None:
        if fail:
            fail(*operation)

    with installed(before):
        spool = open_spool(tmp_path, on_broken=broken.append)
        spools = spooling(FakeDatabase(is_here=False), spool)
        assert await spools.store_and_wait(grouped([record(1)])) == [Stored()]
        fail = failing("write" if error is apsw.FullError else "sync", "-wal", error)
        assert type(await spools.store_and_wait(grouped([record(2)]))) is told
        fail = None
        again = await spools.store_and_wait(grouped([record(3)]))
        await spool.close()
        assert isinstance(again, QueueBrokenError) == bool(broken) == (told is QueueBrokenError)

        later, database = open_spool(tmp_path), FakeDatabase()
        await drained(later, database)
        await later.close()
        assert {"id-1"} <= set(database.known) <= {"id-1", "id-2", "id-3"}
        assert broken or set(database.known) == {"id-1", "id-3"}


# Puts groups and prints their numbers, until it is killed.
WRITER = """
import asyncio, sys
from pathlib import Path
from spool_rig import FakeDatabase, grouped, open_spool
from support import record
from proxy.queue.spool.spooling import Spooling
from spool_rig import SEALER

async def main():
    database = FakeDatabase(is_here=False)
    spools = Spooling(database, open_spool(Path(sys.argv[1])), SEALER, database.direct)
    for number in range(int(sys.argv[2]), 1 << 30):
        await spools.store_and_wait(grouped([record(number)]))
        print(number, flush=True)

asyncio.run(main())
"""


def acknowledged_by_a_killed_process(directory: Path, first: int, kill_after: int) -> list[int]:
    path = os.pathsep.join(str(ROOT / part) for part in ("", "tests", "tests/spool"))
    command: Sequence[str] = [sys.executable, "-c", WRITER, str(directory), str(first)]
    numbers = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, text=True) as writer:
        assert writer.stdout
        for line in writer.stdout:
            numbers.append(int(line))
            if len(numbers) == kill_after:
                writer.send_signal(signal.SIGKILL)
    return numbers


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """A process killed between fsync and answer, or between groups, loses nothing acknowledged and repeats nothing."""
    acknowledged: list[int] = []
    for kill_after in (1, 2, 17):
        acknowledged += acknowledged_by_a_killed_process(tmp_path, (acknowledged or [0])[-1] + 100, kill_after)
    spool, database = open_spool(tmp_path), FakeDatabase()
    await drained(spool, database)
    await spool.close()

    assert {f"id-{number}" for number in acknowledged} <= set(database.known)
    assert len(database.steps) == len(set(database.steps))
