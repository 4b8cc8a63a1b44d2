"""What a database error means to the caller, and whether the database still counts as available."""

import asyncio
import logging

import asyncpg
import pytest
from postgres_server import USER, Cluster, psql
from support import SECRET

from proxy.queue.contract import QueueError
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import (
    ConflictError,
    DatabaseAwayError,
    DataRefusedError,
    LockTimeoutError,
    MisfitError,
    TableMissingError,
    error_text,
    to_queue_error,
)
from proxy.queue.postgres.hosts import primary_index
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.session import Facts
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        *((code, ConflictError) for code in ("40001", "40P01", "57014", "0A000", "42P07", "42P06")),
        *((code, DataRefusedError) for code in ("22001", "22021", "22003", "23505", "23514", "54000")),
        *((code, MisfitError) for code in ("42501", "42703", "3F000")),
        ("42P01", TableMissingError),
        ("55P03", LockTimeoutError),
        ("42601", QueueError),
        *(
            (code, DatabaseAwayError)
            for code in ("08006", "25006", "53100", "53300", "55000", "57P01", "57P03", "58030", "XX000", "28P01")
        ),
    ],
)
def test_every_code_has_one_meaning(code: str, meaning: type[QueueError]) -> None:
    """Each error code has one meaning.

    It is a temporary conflict, a lost or faulty database, a bad value of one caller, or another error.
    """
    error = asyncpg.PostgresError.new({"C": code, "M": "words of the server", "S": "ERROR"})

    assert type(to_queue_error(error)) is meaning


@pytest.mark.parametrize("error", [OSError(111, "refused"), ConnectionResetError(), TimeoutError(), EOFError()])
def test_a_lost_connection_is_an_absence(error: Exception) -> None:
    """An error that ends the connection leaves it open whether the statement was executed."""
    assert type(to_queue_error(error)) is DatabaseAwayError


def test_what_a_statement_carried_is_told_nowhere() -> None:
    """A server quotes a value that it refuses; our error does not."""
    error = asyncpg.PostgresError.new({"C": "22P02", "M": 'invalid input: "anna@example.org"', "S": "ERROR"})

    assert error_text(error) == "error 22P02 of the database"
    assert "anna" not in str(to_queue_error(error))


@pytest.mark.parametrize(
    ("servers", "highest", "choice"),
    [
        ([], 0, None),
        ([Facts(False, 1)], 1, 0),
        ([Facts(True, 3), Facts(False, 2)], 2, 1),
        ([Facts(False, 5), Facts(False, 7)], 5, 1),
        ([Facts(False, 5)], 7, None),
        ([Facts(False, 7), Facts(False, 7)], 0, 0),
        ([Facts(False, 0), Facts(True, 0)], 0, 0),
        ([Facts(False, 0)], 3, None),
    ],
)
def test_the_highest_timeline_wins(servers: list[Facts], highest: int, choice: int | None) -> None:
    """A primary that a fail-over left behind is never used once a higher timeline was seen, even if it is alone."""
    assert primary_index(servers, highest) == choice


async def test_what_others_change_at_the_same_time_is_tried_again(database: Database) -> None:
    """A statement or transaction that fails because of concurrent changes is tried up to five times."""
    await database.run(Role.BOOKS, "CREATE SEQUENCE tries")
    await database.run(
        Role.BOOKS,
        "CREATE FUNCTION busy(times int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('tries') < times THEN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END IF; RETURN 7; END $$",
    )
    assert (await database.run(Role.APPEND, "SELECT busy(5)"))[0][0] == 7
    await database.run(Role.BOOKS, "ALTER SEQUENCE tries RESTART")
    started = 0

    async def work(run: Run) -> int:
        nonlocal started
        started += 1
        await run("INSERT INTO meta(key, number) VALUES('once', 1)")
        return int((await run("SELECT busy(3)"))[0][0])

    assert await database.transact(Role.APPEND, work) == 7
    assert started == 3
    await database.run(Role.BOOKS, "ALTER SEQUENCE tries RESTART")
    with pytest.raises(ConflictError, match="again"):
        await database.run(Role.APPEND, "SELECT busy(100)")
    assert (await database.run(Role.BOOKS, "SELECT nextval('tries')"))[0][0] == 6
    assert database.is_here


async def test_two_that_wait_for_each_other_both_succeed(database: Database) -> None:
    """A deadlock ends one of two transactions, which is then tried again."""
    await database.run(Role.BOOKS, "INSERT INTO meta(key, number) VALUES('a', 0), ('b', 0)")
    met = asyncio.Barrier(2)
    tries = 0

    async def work(first: str, second: str, run: Run) -> None:
        nonlocal tries
        tries += 1
        await run("UPDATE meta SET number = number + 1 WHERE key = $1", first)
        if tries <= 2:
            await met.wait()
        await run("UPDATE meta SET number = number + 1 WHERE key = $1", second)

    await asyncio.gather(
        database.transact(Role.APPEND, lambda run: work("a", "b", run)),
        database.transact(Role.DELIVER, lambda run: work("b", "a", run)),
    )
    rows = await database.run(Role.BOOKS, "SELECT number FROM meta WHERE key IN ('a', 'b')")

    assert [row["number"] for row in rows] == [2, 2]
    assert tries == 3


@pytest.mark.parametrize(
    ("statement", "value", "error"),
    [
        ("SELECT $1::int2", 70_000, DataRefusedError),
        ("SELECT $1::int2", "seven", DataRefusedError),
        ("SELECT $1::text", "a\0b", DataRefusedError),
        ("SELECT $1::text", "\ud800", DataRefusedError),
        ("SELECT $1::uuid", b"short", DataRefusedError),
        ("INSERT INTO meta(key) VALUES($1)", "schema", DataRefusedError),
        ("SELECT FROM nowhere WHERE key = $1", "a", TableMissingError),
        ("SELEKT $1", "a", QueueError),
    ],
)
async def test_what_one_caller_brings_costs_nobody_else(
    database: Database, statement: str, value: object, error: type[QueueError]
) -> None:
    """A value or statement that the server refuses fails alone; the connection serves the next one."""
    with pytest.raises(error):
        await database.run(Role.BOOKS, statement, value)

    assert database.is_here
    assert await database.run(Role.BOOKS, "SELECT 1")


@pytest.mark.parametrize("role", [Role.APPEND, Role.DRAIN])
async def test_events_wait_where_their_table_is_missing(database: Database, role: Role) -> None:
    """If a table for storing events is missing, the database counts as away, so that events go into the spool."""
    with pytest.raises(DatabaseAwayError, match="nowhere"):
        await database.run(role, "INSERT INTO nowhere VALUES(1)")


async def test_a_transaction_that_failed_within_is_no_success(database: Database) -> None:
    """A body that ignores an error is reported as rolled back, though the server answers its COMMIT."""

    async def work(run: Run) -> None:
        await run("INSERT INTO meta(key) VALUES('a')")
        try:
            await run("INSERT INTO meta(key) VALUES('a')")
        except DataRefusedError:
            return

    with pytest.raises(ConflictError, match="rolled back"):
        await database.transact(Role.APPEND, work)
    assert not await database.run(Role.BOOKS, "SELECT FROM meta WHERE key = 'a'")


@pytest.mark.parametrize("problem", ["password", "database", "name"])
async def test_a_password_is_told_to_nobody(
    postgres: Cluster, schema: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However a connection fails, the error says what to fix, and neither log nor error contains the password."""
    caplog.set_level(logging.DEBUG)
    url = postgres.url("secretive").replace("secretive@", "secretive:hunter2@")
    psql(postgres, "DROP ROLE IF EXISTS secretive", "CREATE ROLE secretive LOGIN PASSWORD 'other'")
    url = {
        "password": url,
        "database": url.replace("/capi", "/none").replace("secretive", USER),
        "name": url.replace("127.0.0.1", "no.such.host.invalid"),
    }[problem]
    database = make_database(url, Sealer(SECRET), schema=schema)
    try:
        await database.start(patience=20.0)
        why = database.why_away
    except MisfitError as error:
        why = str(error)
    finally:
        await database.close()

    words = {"password": "password authentication failed", "database": '"none"', "name": "reached"}
    assert words[problem] in why
    assert "hunter2" not in why + caplog.text + repr(database) + repr(vars(database))
