"""Connections by role: statements and transactions."""

import pytest

from proxy.queue.postgres.database import Database, Role


async def test_a_statement_is_a_transaction(database: Database) -> None:
    """A row written by one role is visible to another, and a uuid is 16 bytes as argument and as result."""
    rows = await database.run(Role.BOOKS, "SELECT id, layout FROM replica WHERE id = $1", database.replica)

    assert [(row["id"], row["layout"]) for row in rows] == [(database.replica, 2)]


async def failing(database: Database) -> None:
    async with database.transaction(Role.APPEND) as run:
        await run("INSERT INTO meta(key, number) VALUES('b', 1)")
        raise ZeroDivisionError


async def test_a_transaction_is_whole(database: Database) -> None:
    """A body that ends normally commits; one that raises leaves nothing."""
    async with database.transaction(Role.APPEND) as run:
        await run("INSERT INTO meta(key, number) VALUES('a', 1)")
    with pytest.raises(ZeroDivisionError):
        await failing(database)

    rows = await database.run(Role.BOOKS, "SELECT key FROM meta WHERE key IN ('a', 'b')")
    assert [row["key"] for row in rows] == ["a"]
    assert database.is_here
