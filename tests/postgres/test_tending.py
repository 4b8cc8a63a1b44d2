"""The leader of the tending lane forgets for all proxies what is over, and does not delay appends."""

import asyncio
from typing import Any

import pytest
from clock import NOON, Clock
from polling import until
from postgres_server import Cluster, psql
from shared_books import EVERYTHING, TODAY, Books, row
from support import record

from proxy.config.schema import RetentionSettings
from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.model.verdict import GraphError
from proxy.queue.contract import Filter, NewDeadLetter, QueueError
from proxy.queue.postgres import ledger_forgetting
from proxy.queue.postgres import tending as tending_module
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.ledger_days import day_tables
from proxy.queue.postgres.ledger_forgetting import ROW_BYTES, UPDATE_BYTES, LedgerBytes
from proxy.queue.postgres.tending import Tending
from proxy.queue.postgres.tending_steps import steps
from proxy.queue.postgres.transaction import Run

HOUR = 3_600_000


def tending(books: Books, **retention: int) -> Tending:
    settings = RetentionSettings(**{"ledger_days": 7, **retention})
    return Tending(
        books.database, steps(books.dead, books.ledger, settings, join_days=7), books.clock, leads=lambda: True
    )


@pytest.fixture(name="late_database", autouse=True)
def _late_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only the proxy's clock, which a test sets, decide what is over."""
    monkeypatch.setattr(tending_module, "CLOCK", f"SELECT {1 << 60}::int8")


async def tables(books: Books) -> list[str]:
    return sorted(await books.database.transact(Role.BOOKS, day_tables))


async def test_todays_and_tomorrows_tables_are_there(books: Books, clock: Clock) -> None:
    """After midnight, and after all tables are gone, the days that are written next have their tables."""
    clock.now += 3 * DAY_MS
    await tending(books).tend()

    assert {f"ledger_{TODAY + 3}", f"fate_{TODAY + 3}", f"ledger_{TODAY + 4}"} <= set(await tables(books))


async def test_days_that_are_over_are_dropped(books: Books, clock: Clock) -> None:
    """Days within the retention stay; older ones are dropped with their updates."""
    for day in range(4):
        at = NOON - day * DAY_MS
        await books.write([row(1, at=at)])
        await books.update((at, "x", b"", BrowserCopy.FIRED))
    clock.now += DAY_MS
    await tending(books, ledger_days=3).tend()

    days = [TODAY - 1, TODAY, TODAY + 1, TODAY + 2]
    assert await tables(books) == sorted(f"{kind}_{day}" for kind in ("fate", "ledger") for day in days)


async def forget(books: Books, most_bytes: int) -> int:
    """Forget until nothing is left to forget; return how many slices it took, the last and empty one included."""
    ledger, slices = LedgerBytes(RetentionSettings.model_construct(ledger_max_bytes=most_bytes)), 0
    while await books.database.transact(Role.BOOKS, ledger.forget):
        slices += 1
        assert slices < 100
    return slices + 1


async def test_too_many_bytes_cost_the_oldest_rows(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole days go first, then the oldest rows of the day that must partly stay, at most a slice at a time."""
    monkeypatch.setattr(ledger_forgetting, "SLICE", 500)
    for day in (2, 1, 0):
        await books.write([row(number, at=NOON - day * DAY_MS) for number in range(2000)])
    slices = await forget(books, 2500 * ROW_BYTES)
    found = await books.ids(Filter(limit=EVERYTHING))

    assert found == [f"0:{number}" for number in range(1999, -1, -1)] + [
        f"-1:{number}" for number in range(1999, 1499, -1)
    ]
    assert f"ledger_{TODAY - 2}" not in await tables(books)
    assert slices == 4
    assert await forget(books, 2500 * ROW_BYTES) == 1


async def test_one_day_alone_is_bounded_too(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's table loses its oldest rows, and is never dropped."""
    monkeypatch.setattr(ledger_forgetting, "SLICE", 300)
    await books.write([row(number) for number in range(1000)])
    await forget(books, 100 * ROW_BYTES)

    assert await books.ids(Filter(limit=EVERYTHING)) == [f"0:{number}" for number in range(999, 899, -1)]


async def test_a_flood_of_updates_costs_no_rows(books: Books) -> None:
    """The kind that takes more room is forgotten, so that forged updates do not displace rows."""
    await books.write([row(number) for number in range(100)])
    await books.update(*((NOON, str(number), b"", BrowserCopy.FIRED) for number in range(5000)))
    await forget(books, 100 * ROW_BYTES + 1000 * UPDATE_BYTES)
    updates = await books.database.run(Role.BOOKS, f"SELECT FROM fate_{TODAY}")

    assert (len(await books.ids()), len(updates)) == (100, 1000)


async def test_an_estimate_is_what_the_rows_take(books: Books) -> None:
    """The bytes assumed for a row and its indexes are within a third of what PostgreSQL uses on disk."""
    facts = EventFacts("shop", 99, "granted", "pixel", ("email:url",), 799_000, "EUR")
    told: dict[str, Any] = {"findings": ("em:cut",), "arrived": NOON, "facts": facts}
    copies = (BrowserCopy.FIRED, BrowserCopy.FIRED, BrowserCopy.PENDING)
    rows = [
        row(number)._replace(id=f"{NOON + number}.{number:016}", browser_copy=copies[number % 3], **told)
        for number in range(20_000)
    ]
    for start in range(0, len(rows), 1000):
        await books.write(rows[start : start + 1000])
    await books.update(*((NOON, str(number), b"", BrowserCopy.FIRED) for number in range(20_000)))
    for kind, size in (("ledger", ROW_BYTES), ("fate", UPDATE_BYTES)):
        ((taken,),) = await books.database.run(Role.BOOKS, f"SELECT pg_total_relation_size('{kind}_{TODAY}')")
        assert taken / 20_000 == pytest.approx(size, rel=1 / 3)


async def test_everything_that_is_over_is_forgotten(books: Books, clock: Clock) -> None:
    """Dead letters, suppressions, orders and sightings are removed after their time; the duplicate memory rotates."""
    await books.bury(NewDeadLetter(record(1), "rejected", GraphError(), 1))
    await books.suppress([b"a" * 16], SuppressionKind.OPT_OUT, clock.now)
    run = books.database.run
    await run(Role.BOOKS, "INSERT INTO order_memory VALUES($1, NULL, $2)", b"k" * 16, clock.now // (30 * DAY_MS))
    await run(Role.BOOKS, "INSERT INTO sighting VALUES(1, $1, '')", clock.now)
    await run(Role.BOOKS, "INSERT INTO seen_0 VALUES($1, NULL)", b"s" * 16)
    counted = "SELECT (SELECT count(*) FROM {}) + 0 AS number"
    names = ("dead", "mark", "order_memory", "sighting", "seen_0")
    left = []
    for days in (0, 1, 8, 121, 401):
        clock.now = NOON + days * DAY_MS
        for _ in range(2):
            await tending(books, dead_days=7, opted_out_days=400).tend()
        left.append([(await run(Role.BOOKS, counted.format(name)))[0]["number"] for name in names])

    assert left[0][:4] == [1, 1, 1, 1]
    assert left[2][0] == left[2][3] == 0
    assert left[2][1:3] == [1, 1]
    assert left[3][1:3] == [1, 0]
    assert left[4] == [0] * 5


@pytest.mark.parametrize("ahead", ["the proxy", "the database"])
async def test_a_clock_that_is_years_ahead_forgets_nothing(
    books: Books, clock: Clock, monkeypatch: pytest.MonkeyPatch, ahead: str
) -> None:
    """A wrong clock of one proxy or of the database removes no opt-out, order or ledger day."""
    now = books.clock()
    await books.write([row(1)])
    await books.bury(NewDeadLetter(record(1), "rejected", GraphError(), 1))
    await books.suppress([b"a" * 16], SuppressionKind.OPT_OUT, now)
    if ahead == "the proxy":
        monkeypatch.setattr(tending_module, "CLOCK", f"SELECT {now}::int8")
        clock.now += 3 * 365 * DAY_MS
    await tending(books, dead_days=7).tend()

    assert await books.database.run(Role.BOOKS, f"SELECT FROM ledger_{TODAY}")
    assert len(await books.archive.dead_letters(Filter())) == len(await books.archive.suppressions()) == 1


async def test_a_dump_holds_up_neither_appends_nor_the_rest(books: Books, postgres: Cluster, schema: str) -> None:
    """While a table is read for long, its own step waits, but appends and other steps go on."""
    await books.write([row(1, at=NOON - 3 * DAY_MS)])
    holder = await asyncio.create_subprocess_exec(
        *("psql", "-X", "-q", postgres.url(database="capi")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert holder.stdin
    holder.stdin.write(f"BEGIN; LOCK {schema}.seen_1, {schema}.ledger_{TODAY - 3} IN ACCESS SHARE MODE;\n".encode())
    await holder.stdin.drain()
    held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessShareLock' AND relation = '{0}.seen_1'::regclass"
    await until(lambda: psql(postgres, held.format(schema), database="capi") == "1", what="the lock")
    await books.bury(NewDeadLetter(record(1), "rejected", GraphError(), 1))
    books.clock.now += 8 * DAY_MS
    tender = asyncio.create_task(tending(books, ledger_days=7).tend())
    waits = []
    while not tender.done():
        started = asyncio.get_running_loop().time()
        await books.database.run(Role.APPEND, "INSERT INTO seen_1 VALUES(gen_random_uuid(), NULL)")
        await books.database.run(Role.APPEND, f"SELECT FROM ledger_{TODAY - 3}")
        waits.append(asyncio.get_running_loop().time() - started)
    await tender

    assert max(waits) < 0.9, "the commit time-out, after which appends go to the spool, is a second"
    assert f"ledger_{TODAY - 3}" in await tables(books)
    assert await books.archive.dead_letters(Filter()) == []
    holder.stdin.close()
    await holder.wait()
    await tending(books, ledger_days=7).tend()
    assert f"ledger_{TODAY - 3}" not in await tables(books)
    assert await books.database.run(Role.BOOKS, "SELECT FROM seen_1") == []


async def test_only_the_leader_tends(books: Books) -> None:
    """A proxy that does not lead does nothing; a new leader begins at once, and ends when it is closed."""
    done = 0
    leads = False

    async def step(_run: Run, _now: int) -> bool:
        nonlocal done
        done += 1
        return done < 3

    async def failing(_run: Run, _now: int) -> bool:
        raise QueueError("it cannot be done now")

    async def broken(_run: Run, _now: int) -> bool:
        raise ZeroDivisionError

    idle = Tending(books.database, {"bad": failing, "bug": broken, "step": step}, books.clock, leads=lambda: leads)
    task = asyncio.create_task(idle.run())
    await asyncio.sleep(0)
    idle.close()
    await task
    assert done == 0
    leads = True
    busy = Tending(books.database, {"bad": failing, "bug": broken, "step": step}, books.clock, leads=lambda: leads)
    task = asyncio.create_task(busy.run())
    await until(lambda: done == 3, what="all slices")
    busy.close()
    await task
    assert done == 3
