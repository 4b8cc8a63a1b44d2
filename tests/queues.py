"""Queues for tests, with a clock that the test sets: on a disk, or in a PostgreSQL schema.

A test with the fixture ``queue`` or ``opener`` runs on SQLite, and also on PostgreSQL if the test or its module is
marked ``both_engines``; the mark ``only_sqlite`` excludes a test of such a module that looks into the file.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from clock import Clock
from postgres_server import Cluster
from support import SECRET

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.queue.contract import WholeQueue
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.engine import SharedQueue
from proxy.queue.postgres.opening import make_database
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.sqlite.engine import LocalQueue

ENGINES = ("sqlite", "postgres")
# No test waits for the end of a lease: a queue that is closed gives its lanes back.
LEASE_S = 15.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the engines that it is marked with."""
    if "engine" in metafunc.fixturenames:
        both, one = (metafunc.definition.get_closest_marker(name) for name in ("both_engines", "only_sqlite"))
        metafunc.parametrize("engine", ENGINES if both and not one else ENGINES[:1], indirect=True, scope="function")


def open_queue(
    directory: Path, clock: Clock, retention: RetentionSettings | None = None, *, sieve: Sieve | None = None
) -> LocalQueue:
    """Open a queue; nothing is done if it breaks."""
    return LocalQueue.open(
        directory,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=retention or RetentionSettings(),
        now=clock,
        on_broken=lambda _error: None,
        sieve=sieve,
    )


async def open_shared(
    cluster: Cluster, schema: str, clock: Clock, *, database_name: str = "capi", **settings: Any
) -> SharedQueue:
    """Open a queue in a database, without a spool.

    Args:
        cluster: The server.
        schema: The schema's name.
        clock: The queue's clock.
        database_name: Which database of the server.
        settings: Arguments of ``SharedQueue`` that differ from the usual ones.
    """
    sealer = Sealer(SECRET)
    database = make_database(cluster.url(database=database_name), sealer, schema=schema, commit_timeout=30.0)
    await database.start(patience=30.0)
    assert database.is_here, database.why_away
    usual: dict[str, Any] = {
        "limits": QueueSettings(),
        "retention": RetentionSettings(),
        "now": clock,
        "lease_s": LEASE_S,
    }
    queue = SharedQueue(database, None, sealer, **usual | settings)
    await queue.start()
    return queue


class Opener(Protocol):
    """Opens the test's queue: again after it was closed, or, with PostgreSQL, a second time in parallel."""

    async def __call__(self, retention: RetentionSettings | None = None) -> WholeQueue:
        """Return the queue; it is closed after the test at the latest."""


async def rows_of(queue: WholeQueue, sql: str) -> list[Any]:
    """Return the rows of a statement that both engines understand."""
    if isinstance(queue, SharedQueue):
        return [tuple(row) for row in await queue._database.run(Role.BOOKS, sql)]
    return await local(queue)._writer.do(lambda: local(queue)._store.tables.db.execute(sql).fetchall())


async def tidy(queue: WholeQueue) -> None:
    """Run periodic upkeep: a database's at once; a file's runs with its next append."""
    if isinstance(queue, SharedQueue):
        await queue._tending.tend()


def local(queue: WholeQueue) -> LocalQueue:
    """Return a queue whose internals a test reads; it must be SQLite's."""
    assert isinstance(queue, LocalQueue)
    return queue


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="engine")
def _engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="opener")
async def _opener(engine: str, tmp_path: Path, clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    opened: list[WholeQueue] = []
    is_shared = engine == "postgres"
    where: list[Any] = [request.getfixturevalue(name) for name in ("postgres", "schema") if is_shared]

    async def opener(retention: RetentionSettings | None = None) -> WholeQueue:
        if is_shared:
            opened.append(await open_shared(where[0], where[1], clock, retention=retention or RetentionSettings()))
        else:
            opened.append(open_queue(tmp_path, clock, retention))
        return opened[-1]

    yield opener
    for queue in opened:
        await queue.close()


@pytest.fixture(name="queue")
async def _queue(opener: Opener) -> WholeQueue:
    return await opener()
