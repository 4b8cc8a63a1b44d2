"""The schema of the shared queue: created once, checked at each start, and used by two versions in parallel."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from postgres_server import USER, Cluster, psql
from support import SECRET

from proxy.queue.postgres.errors import MisfitError
from proxy.queue.postgres.schema import CURRENT, Layout, Schema
from proxy.queue.postgres.session import Session
from proxy.queue.seal import Sealer

OTHER = "another secret that has more than 32 bytes"


@asynccontextmanager
async def session_of(cluster: Cluster, schema: str, user: str = USER) -> AsyncIterator[Session]:
    session = await Session.open(cluster.url(user), schema=schema, name="test")
    try:
        yield session
    finally:
        await session.close()


async def greeted(
    cluster: Cluster, schema: str, sealer: Sealer | None = None, layout: Layout = CURRENT, user: str = USER
) -> None:
    greeting = Schema(schema, sealer or Sealer(SECRET), replica_name="here", version="1", layout=layout)
    async with session_of(cluster, schema, user) as session:
        await greeting.register_replica(session, uuid.uuid4().bytes)


def listed(cluster: Cluster, schema: str, what: str = "SELECT number FROM {}.meta WHERE key = 'schema'") -> str:
    return psql(cluster, what.format(schema), database="capi")


async def test_many_may_start_at_once(postgres: Cluster, schema: str) -> None:
    """If several processes start on an empty database, all tables exist in the end, and all are registered."""
    await asyncio.gather(*(greeted(postgres, schema) for _ in range(8)))

    assert listed(postgres, schema, "SELECT count(*) FROM {}.replica") == "8"
    assert listed(postgres, schema) == str(CURRENT.number)


async def test_another_secret_is_refused(postgres: Cluster, schema: str) -> None:
    """A proxy whose secret could not open the others' texts is refused."""
    await greeted(postgres, schema)

    with pytest.raises(MisfitError, match=r"another server\.secret"):
        await greeted(postgres, schema, Sealer(OTHER))


async def test_a_secret_is_changed_while_others_run(postgres: Cluster, schema: str) -> None:
    """First every process lists the new secret, then each changes to it; one that lists only one of them is refused."""
    await greeted(postgres, schema, Sealer(SECRET))
    await greeted(postgres, schema, Sealer(SECRET, [OTHER]))
    await greeted(postgres, schema, Sealer(OTHER, [SECRET]))
    await greeted(postgres, schema, Sealer(SECRET, [OTHER]))

    for alone in (SECRET, OTHER):
        with pytest.raises(MisfitError, match=r"not listed in server\.old_secrets"):
            await greeted(postgres, schema, Sealer(alone))


async def test_a_secret_with_which_nothing_is_sealed_any_more_may_go(postgres: Cluster, schema: str) -> None:
    """An old secret need not be listed once everything sealed with it is over."""
    await greeted(postgres, schema, Sealer(SECRET))
    days_ago = f"UPDATE {schema}.meta SET number = number - 101 * 86400000::int8 WHERE key LIKE 'proof %'"
    psql(postgres, days_ago, database="capi")
    await greeted(postgres, schema, Sealer(OTHER, [SECRET]))

    await greeted(postgres, schema, Sealer(OTHER))


NUMBER = CURRENT.number
NEXT = Layout(
    NUMBER + 1,
    CURRENT.oldest,
    (*CURRENT.tables, "CREATE TABLE IF NOT EXISTS novelty(key int8)"),
    {NUMBER + 1: ("INSERT INTO novelty VALUES(7)",)},
)
AFTER = Layout(NUMBER + 2, NUMBER + 1, NEXT.tables, {**NEXT.steps, NUMBER + 2: ("ALTER TABLE novelty ADD extra int8",)})


async def test_two_versions_work_side_by_side(postgres: Cluster, schema: str) -> None:
    """The newer version adds its tables, once; the older one can start next to it, and undoes nothing."""
    await greeted(postgres, schema)
    await asyncio.gather(*(greeted(postgres, schema, layout=NEXT) for _ in range(4)))
    await greeted(postgres, schema)

    assert listed(postgres, schema) == str(NEXT.number)
    assert listed(postgres, schema, "SELECT * FROM {}.novelty") == "7"


async def test_an_older_one_that_lives_is_not_left_behind(postgres: Cluster, schema: str) -> None:
    """A step that an older version could not handle waits until none runs; afterwards none may start."""
    await greeted(postgres, schema)
    with pytest.raises(MisfitError, match=r"version 1 still runs \(here\)"):
        await greeted(postgres, schema, layout=AFTER)
    assert listed(postgres, schema) == str(NUMBER)

    psql(postgres, f"UPDATE {schema}.replica SET seen_at = now() - interval '1 hour'", database="capi")
    await greeted(postgres, schema, layout=AFTER)
    assert listed(postgres, schema) == str(AFTER.number)
    with pytest.raises(MisfitError, match="newer version of capi-proxy"):
        await greeted(postgres, schema)


async def test_a_migration_that_fails_changes_nothing(postgres: Cluster, schema: str) -> None:
    """A failed migration leaves the old layout, and the next attempt begins from there."""
    await greeted(postgres, schema)
    broken = NEXT._replace(steps={NEXT.number: ("INSERT INTO novelty VALUES(7)", "INSERT INTO nowhere VALUES(7)")})
    with pytest.raises(Exception, match="nowhere"):
        await greeted(postgres, schema, layout=broken)

    assert listed(postgres, schema) == str(NUMBER)
    await greeted(postgres, schema, layout=NEXT)
    assert listed(postgres, schema, "SELECT * FROM {}.novelty") == "7"


@pytest.fixture(name="poor")
def _poor(postgres: Cluster, schema: str) -> Iterator[str]:
    """Yield a user who may only log in."""
    name = f"poor_{schema}"
    psql(postgres, f"CREATE ROLE {name} LOGIN")
    yield name
    drop = (f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"DROP OWNED BY {name}", f"DROP ROLE {name}")
    psql(postgres, "SET client_min_messages = warning", *drop, database="capi")


@pytest.mark.parametrize(
    "made_before", [(), ("CREATE SCHEMA {}",), ("CREATE SCHEMA {}", "CREATE TABLE {}.meta(key text)")]
)
async def test_missing_rights_name_what_gives_them(
    postgres: Cluster, schema: str, poor: str, made_before: Sequence[str]
) -> None:
    """A user who may not create the tables gets the statements that permit it; after them the start works."""
    if made_before:
        psql(postgres, *(statement.format(schema) for statement in made_before), database="capi")
    with pytest.raises(MisfitError, match="let the owner of the database run: ") as refused:
        await greeted(postgres, schema, user=poor)
    remedy = str(refused.value).partition("run: ")[2]
    if len(made_before) > 1:
        psql(postgres, f"DROP TABLE {schema}.meta", database="capi")
    psql(postgres, remedy.replace(f"ALTER TABLE {schema}.meta OWNER TO {poor};", ""), database="capi")

    await greeted(postgres, schema, user=poor)
