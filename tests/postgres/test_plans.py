"""No statement reads a large table from end to end, however few rows or many there are."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from clock import NOON, Clock
from everything import everything
from plans import COUNTS, Recorder, constants, fill, offences, tables, texts, unseen
from postgres_server import Cluster, psql
from queues import open_shared
from support import PIXEL

from proxy.model.units import DAY_MS
from proxy.queue.postgres import ledger_rows, search_jump
from proxy.queue.postgres.session import Session

LANE = PIXEL
TODAY = NOON // DAY_MS
# Statements that ``everything`` does not cause: notes of a spool, a ledger above its bounds, a server's event that is
# not sent, a search that finds nothing among thousands of rows.
RARE = (
    search_jump.statement(["name", "browser_copy"]),
    ledger_rows.unknown_of(TODAY),
    f"DELETE FROM ledger_{TODAY} WHERE number = ANY(ARRAY(SELECT number FROM ledger_{TODAY} ORDER BY number LIMIT $1))",
    f"DELETE FROM fate_{TODAY} WHERE key = ANY(ARRAY(SELECT key FROM fate_{TODAY} ORDER BY key LIMIT $1))",
    "DELETE FROM seen_0 WHERE key = $1",
)


@dataclass
class Used:
    """A schema that a queue has used, and the statements that its sessions executed."""

    session: Session
    asked: list[str]

    @property
    def statements(self) -> list[str]:
        """Return all statements that have a query plan."""
        return list(dict.fromkeys([*self.asked, *constants(), *RARE]))


@pytest.fixture(name="used", scope="module")
async def _used(postgres: Cluster) -> AsyncIterator[Used]:
    clock, recorder = Clock(), Recorder()
    with recorder.listening():
        queue = await open_shared(postgres, "plans", clock)
        try:
            await everything(queue, clock)
            await queue._tending.tend()
        finally:
            await queue.close()
    session = await Session.open(postgres.url(), schema="plans", name="plans")
    yield Used(session, recorder.explicable())
    await session.close()
    psql(postgres, "SET client_min_messages = warning; DROP SCHEMA plans CASCADE", database="capi")


@pytest.mark.long
def test_every_statement_of_the_source_is_looked_at(used: Used) -> None:
    """Every statement in the source is examined; otherwise this test names its place."""
    assert unseen(texts(), used.statements) == []


@pytest.mark.long
@pytest.mark.parametrize("rows", [0, 10_000])
async def test_no_statement_reads_a_large_table_from_end_to_end(rows: int, used: Used) -> None:
    """With our sessions' settings each statement finds its rows by an index; only the counts read a whole one."""
    await used.session.execute(f"TRUNCATE {', '.join(await tables(used.session))}")
    if rows:
        await fill(used.session, rows, lane=LANE)
    found = {each: await offences(used.session, each) for each in used.statements if each not in COUNTS}

    assert {each: names for each, names in found.items() if names} == {}


@pytest.fixture(name="session")
async def _session(postgres: Cluster, schema: str) -> AsyncIterator[Session]:
    """Yield a session with a table of its own."""
    session = await Session.open(postgres.url(), schema=schema, name="plans")
    await session.execute(
        f"CREATE SCHEMA {schema}; CREATE TABLE waits(lane text NOT NULL, id uuid NOT NULL, n int4 NOT NULL,"
        " sealed bytea NOT NULL, PRIMARY KEY (lane, id))"
    )
    yield session
    await session.close()


PLANS: dict[str, tuple[str, list[str]]] = {
    "by the key": ("SELECT sealed FROM waits WHERE lane = $1 AND id > $2 ORDER BY id LIMIT $3", []),
    "by nothing": ("SELECT count(*) FROM waits WHERE n > $1", ["waits"]),
    "by the index, all of it": ("SELECT lane FROM waits ORDER BY lane, id", ["waits"]),
    "by the index, a page of it": ("SELECT lane FROM waits ORDER BY lane, id LIMIT 10", []),
    "by the second column of an index": ("SELECT n FROM waits WHERE id = $1", ["waits"]),
    "below a deletion": ("DELETE FROM waits WHERE sealed = $1", ["waits"]),
    "within a subquery": (
        "WITH few AS MATERIALIZED (SELECT id FROM waits WHERE n = 0) SELECT n FROM waits, few WHERE lane = $1",
        ["waits"],
    ),
    "of an insertion": (
        "INSERT INTO waits SELECT $1, id, 1, '' FROM unnest($2::uuid[]) id ON CONFLICT DO NOTHING RETURNING id",
        [],
    ),
    "of another table's": ("SELECT relname FROM pg_class", []),
}


@pytest.mark.parametrize("rows", [0, 10_000])
@pytest.mark.parametrize(("statement", "found"), PLANS.values(), ids=PLANS)
async def test_reading_all_of_a_table_is_found(statement: str, found: list[str], rows: int, session: Session) -> None:
    """A statement that reads a whole table is reported, and one that looks up an index is not."""
    if rows:
        await fill(session, rows, lane=LANE)

    assert await tables(session) == ["waits"]
    assert await offences(session, statement) == found


def test_a_text_that_was_never_run_is_found() -> None:
    """Each SQL text in the source is searched for in the statements, with any values in its placeholders."""
    patterns = {"a": r"SELECT n FROM ledger_.*? WHERE", "b": "DELETE FROM waits"}

    assert unseen(patterns, ["SELECT n\n  FROM ledger_20783 WHERE at > $1"]) == ["b"]
    assert unseen(patterns, ["SELECT n FROM ledger_20783 WHERE TRUE", "WITH x AS (DELETE FROM waits) SELECT"]) == []


def test_the_source_has_texts() -> None:
    """SQL texts are found in the source by their keywords, without docstrings."""
    found = texts()

    assert len(found) > 20
    assert {place.partition(":")[0] for place in found} >= {"ledger_pages.py", "dead_letters.py"}
    assert not [pattern for pattern in found.values() if "Args:" in pattern]


async def test_what_a_session_is_asked_is_recorded(session: Session) -> None:
    """Statements with a plan are recorded, each once; others are left out."""
    recorder = Recorder()
    with recorder.listening():
        for _ in range(2):
            await session.fetch("SELECT n FROM waits WHERE lane = $1", LANE)
        await session.execute("BEGIN")
        await session.execute("COMMIT")
    await session.fetch("SELECT 1")

    assert recorder.explicable() == ["SELECT n FROM waits WHERE lane = $1"]
