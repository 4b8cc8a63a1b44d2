"""No statement reads a large table from end to end, however few rows or many there are."""

from collections.abc import AsyncIterator

import pytest
from plans import Recorder, fill, offences, tables, texts, unseen
from postgres_server import Cluster

from proxy.queue.postgres.session import Session

LANE = "1001"


@pytest.fixture(name="session")
async def _session(postgres: Cluster, schema: str) -> AsyncIterator[Session]:
    """A session with a table of its own."""
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
    """Whatever reads a table from end to end is named, and a look at an index is not."""
    if rows:
        await fill(session, rows, lane=LANE)

    assert await tables(session) == ["waits"]
    assert await offences(session, statement) == found


def test_a_text_that_was_never_run_is_found() -> None:
    """Each piece of SQL in the source is looked for, with whatever is put into it."""
    patterns = {"a": r"SELECT n FROM ledger_.*? WHERE", "b": "DELETE FROM waits"}

    assert unseen(patterns, ["SELECT n\n  FROM ledger_20783 WHERE at > $1"]) == ["b"]
    assert unseen(patterns, ["SELECT n FROM ledger_20783 WHERE TRUE", "WITH x AS (DELETE FROM waits) SELECT"]) == []


def test_the_source_has_texts() -> None:
    """Statements are found in the source by their words, without its documentation."""
    found = texts()

    assert len(found) > 20
    assert {place.partition(":")[0] for place in found} >= {"ledger_pages.py", "dead_letters.py"}
    assert not [pattern for pattern in found.values() if "Args:" in pattern]


async def test_what_a_session_is_asked_is_recorded(session: Session) -> None:
    """Statements with a plan are kept, each once; those without are not explained."""
    recorder = Recorder()
    with recorder.listening():
        for _ in range(2):
            await session.fetch("SELECT n FROM waits WHERE lane = $1", LANE)
        await session.execute("BEGIN")
        await session.execute("COMMIT")
    await session.fetch("SELECT 1")

    assert recorder.explicable() == ["SELECT n FROM waits WHERE lane = $1"]
