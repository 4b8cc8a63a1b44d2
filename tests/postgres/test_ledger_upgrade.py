"""The ledger during an upgrade: rows of layout 1 are read, and programs of layout 1 can run in parallel."""

from collections.abc import AsyncIterator, Sequence

import pytest
from clock import NOON, Clock
from postgres_server import Cluster, psql
from shared_books import TODAY, Books, row
from support import PIXEL, SECRET, until

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.rollup import RollupQuery
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter
from proxy.queue.keys import event_key
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.ledger_days import old_days
from proxy.queue.postgres.ledger_rows import copy_number
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.session import Session
from proxy.queue.seal import Sealer

EVER = RollupQuery(0, 1 << 30)
# The statements of programs of layout 1.
_OLD_ROWS = (
    "CREATE TABLE IF NOT EXISTS {schema}.ledger_{day}(number int8 NOT NULL, at int8 NOT NULL, pixel text NOT NULL,"
    " name text NOT NULL, id text NOT NULL, time_s int8 NOT NULL, status text NOT NULL, reason text NOT NULL,"
    " fate text, fbtrace_id text NOT NULL, attempts int4 NOT NULL, findings text NOT NULL, copy int8 NOT NULL,"
    " source text NOT NULL)"
)
OLD_TABLES = (
    _OLD_ROWS,
    "CREATE INDEX IF NOT EXISTS ledger_{day}_number ON {schema}.ledger_{day}(number)",
    "CREATE INDEX IF NOT EXISTS ledger_{day}_id ON {schema}.ledger_{day} USING hash(id)",
    "CREATE TABLE IF NOT EXISTS {schema}.fate_{day}(key int8 PRIMARY KEY, fate text NOT NULL)",
)
OLD_INSERTION = (
    "INSERT INTO {schema}.ledger_{day}(number, at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts,"
    " findings, copy, source) SELECT {number} + i, {at}, '{pixel}', 'Lead', 'old-' || i, 1, 'delivered', '', 'pending',"
    " '', 1, '', {copy}, 'website' FROM generate_series(1, 2) i"
)
OLD_UPDATE = (
    "INSERT INTO {schema}.fate_{day}(key, fate) VALUES({copy}, 'fired')"
    " ON CONFLICT (key) DO UPDATE SET fate = excluded.fate"
)
OLD_READING = (
    "SELECT number, at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts, findings, copy, source"
    " FROM {schema}.ledger_{day} WHERE number < 9000000000000000 ORDER BY number DESC FETCH FIRST 100 ROWS WITH TIES"
)
SCHEMA_ONE = (
    "UPDATE {schema}.meta SET number = 1 WHERE key IN ('schema', 'oldest')",
    "DROP TABLE {schema}.rollup_hour, {schema}.rollup_day, {schema}.rollup_kind, {schema}.rollup_name, {schema}.tally",
)


def copy_of(identity: str, visitor: bytes = b"") -> int:
    return copy_number(event_key(PIXEL, "Lead", identity), visitor, Sealer(SECRET).key("browser-copies"))


class OldProgram:
    """The ledger operations of a program of layout 1."""

    def __init__(self, cluster: Cluster, schema: str) -> None:
        self._cluster = cluster
        self.schema = schema

    def run(self, *statements: str, day: int = TODAY, **values: object) -> str:
        texts = [each.format(schema=self.schema, day=day, pixel=PIXEL, **values) for each in statements]
        return psql(self._cluster, *texts, database="capi")

    def writes(self, day: int = TODAY) -> None:
        """Write two rows, and an update of the browser copy of one of them."""
        self.run(*OLD_TABLES, day=day)
        self.run(OLD_INSERTION, day=day, number=NOON * 1000 + day, at=NOON, copy=copy_of("old-1"))
        self.run(OLD_UPDATE, day=day, copy=copy_of("old-1"))

    def reads(self, day: int = TODAY) -> Sequence[str]:
        """Return the ids of the newest rows."""
        rows = [line.split("|") for line in self.run(OLD_READING, day=day).splitlines()]
        assert {fields[6] for fields in rows} <= {"delivered", "dropped", "duplicate", "dead"}
        return [fields[4] for fields in rows]


@pytest.fixture(name="old")
async def _old(postgres: Cluster, schema: str, database: Database) -> OldProgram:
    """Return a program of layout 1 on a database that no later version has seen, with rows of two days."""
    assert database.is_here
    program = OldProgram(postgres, schema)
    program.run(*SCHEMA_ONE)
    psql(postgres, f"GRANT ALL ON SCHEMA {schema} TO postgres", database="capi")
    for day in (TODAY - 1, TODAY):
        program.writes(day)
        for kind in ("ledger", "fate"):
            program.run(f"ALTER TABLE {{schema}}.{kind}_{day} OWNER TO capi")
    return program


@pytest.fixture(name="new")
async def _new(postgres: Cluster, schema: str, old: OldProgram, clock: Clock) -> AsyncIterator[Books]:
    """Yield a proxy of this version, started on the old database."""
    assert old.schema == schema
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, commit_timeout=30.0)
    await database.start(patience=30.0)
    assert database.is_here, database.why_away
    yield Books(database, clock)
    await database.close()


async def test_what_an_older_version_wrote_is_read(new: Books) -> None:
    """Old rows are listed with their updates and without the facts they lack; no rollup counts them."""
    page = (await new.archive.event_page(Filter())).rows
    listed = await new.listed()

    assert sorted(each.id for each in page) == ["old-1", "old-1", "old-2", "old-2"]
    assert {each.browser_copy for each in page} == {each.browser_copy for each in listed} == {BrowserCopy.FIRED}
    assert {(each.arrived, each.facts.site, each.code) for each in page} == {(0, "", 0)}
    assert await new.archive.rollups(EVER) == []


async def test_two_versions_write_one_table(new: Books, old: OldProgram) -> None:
    """Each version reads the rows of both; only rows of this version are counted and moved in rollups."""
    await new.write([row(1, visitor=b"anna"), row(2, status=Status.DEAD)])
    old.run(OLD_INSERTION, number=NOON * 1000 + 10, at=NOON, copy=copy_of("old-1"))
    old.run(OLD_UPDATE, copy=copy_of("0:1", b"anna"))
    found = [each for each in await new.listed() if each.id == "0:1"]
    before = [each.events for each in await new.archive.rollups(EVER)]
    await new.update((NOON, "0:1", b"anna", BrowserCopy.FIRED), (NOON, "old-1", b"", BrowserCopy.BLOCKED))

    assert [each.browser_copy for each in found] == [BrowserCopy.FIRED]
    assert sorted(before) == [1, 1]
    assert sorted(old.reads()) == ["0:1", "0:2", "old-1", "old-1", "old-2", "old-2"]
    assert {each.key.browser_copy: each.events for each in await new.archive.rollups(EVER)} == {
        "fired": 1,
        "pending": 1,
    }


async def test_a_table_that_an_older_version_made_beside_is_completed(new: Books, old: OldProgram) -> None:
    """Either version may make tomorrow's table; this one writes into it once it has added the missing columns."""
    old.writes(TODAY + 1)
    for kind in ("ledger", "fate"):
        old.run(f"ALTER TABLE {{schema}}.{kind}_{TODAY + 1} OWNER TO capi")
    # An incomplete table hinders no page and no update.
    pending = row(2, at=NOON)._replace(arrived=NOON - DAY_MS)
    await new.write([pending])
    await new.update((NOON, pending.id, b"", BrowserCopy.BLOCKED))
    assert pending.id in {each.id for each in (await new.archive.event_page(Filter())).rows}
    await new.ledger.prepare()
    assert await new.database.transact(Role.BOOKS, old_days) == []
    tomorrow: LedgerRow = row(1, at=NOON + DAY_MS)
    await new.write([tomorrow])

    assert len(await new.archive.rollups(EVER)) == 2
    assert sorted(old.reads(TODAY + 1)) == ["1:1", "old-1", "old-2"]


async def test_a_table_that_somebody_reads_for_long_delays_the_start(
    postgres: Cluster, schema: str, old: OldProgram
) -> None:
    """While a dump reads the ledger, the upgrade waits and is tried again, and old programs can still read."""
    dump = await Session.open(postgres.url(), schema=schema, name="dump")
    await dump.execute(f"BEGIN; SELECT count(*) FROM ledger_{TODAY}")
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, commit_timeout=30.0)
    await database.start(patience=0.5)
    assert not database.is_here
    assert sorted(old.reads()) == ["old-1", "old-2"]
    await dump.execute("COMMIT")
    await dump.close()
    await until(lambda: database.is_here, what="the database, once nobody reads the table")
    await database.close()


async def test_tables_of_older_versions_are_completed_at_each_start(new: Books, old: OldProgram, clock: Clock) -> None:
    """Also tables that were made after an upgrade had been taken back are completed."""
    old.writes(TODAY - 3)
    for kind in ("ledger", "fate"):
        old.run(f"ALTER TABLE {{schema}}.{kind}_{TODAY - 3} OWNER TO capi")
    before = len(await new.listed())
    new.database.mark_away("as after a fail-over")
    await until(lambda: new.database.is_here, what="the database again")

    assert clock() == NOON
    assert (before, len(await new.listed())) == (4, 6)
