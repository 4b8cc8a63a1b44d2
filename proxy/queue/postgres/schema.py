"""The tables of the shared queue: how they are made, proved to fit the secret, and brought to this program's layout.

Each part names its own tables (``TABLES``); here stand those that all of them need. Nothing is used that engines beside
PostgreSQL lack: no sequences, triggers, functions, declarative partitions, advisory locks or temporary tables.

Several processes may start at once: a row of ``meta`` is the lock.
"""

import logging

from proxy.queue.contract import QueueError
from proxy.queue.postgres import dead_letters, lane_table, orders, seen, segment_table, sightings, suppressions
from proxy.queue.postgres.errors import (
    ConflictError,
    DataRefusedError,
    LockTimeoutError,
    MisfitError,
    TableMissingError,
)
from proxy.queue.postgres.session import Session
from proxy.queue.seal import Sealer, SealError

log = logging.getLogger(__name__)

LAYOUT = 1
_OLDEST = 1
"""The lowest layout whose programs can go on beside this one."""
_PROOF, _PROOF_BOUND = b"capi-proxy", b"meta"
_TRIES = 10

_META = "CREATE TABLE IF NOT EXISTS meta(key text PRIMARY KEY, number int8, bytes bytea)"
# Who lives. Its update is beat, durable probe, and the write behind an answer that relies on repeats alone: an append
# whose witness finds no row here has written nothing, and must not be acknowledged.
_REPLICA = """CREATE TABLE IF NOT EXISTS replica(
    id uuid PRIMARY KEY, name text NOT NULL, version text NOT NULL, layout int4 NOT NULL,
    started_at timestamptz NOT NULL, seen_at timestamptz NOT NULL,
    spooled int8 NOT NULL DEFAULT 0, repeats int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50)"""
TABLES: tuple[str, ...] = (
    _REPLICA,
    *lane_table.TABLES,
    *segment_table.TABLES,
    *seen.TABLES,
    *orders.TABLES,
    *sightings.TABLES,
    *suppressions.TABLES,
    *dead_letters.TABLES,
)
"""All tables but ``meta``: each part's ``TABLES`` is added here."""

_ARRIVE = """INSERT INTO replica(id, name, version, layout, started_at, seen_at) VALUES($1, $2, $3, $4, now(), now())
ON CONFLICT (id) DO UPDATE SET seen_at = now()"""
_KNOWN = "SELECT key, number, bytes FROM meta WHERE key IN ('schema', 'oldest', 'proof')"
_LOCK = "SELECT number FROM meta WHERE key = 'schema' FOR UPDATE"
_KEEP = """INSERT INTO meta(key, number, bytes) VALUES($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET number = excluded.number, bytes = excluded.bytes"""


def is_opened_by(proof: bytes, sealer: Sealer) -> bool:
    """Tell whether what proves the secret of a queue is of a secret that is listed."""
    try:
        sealer.open(proof, _PROOF_BOUND)
    except SealError:
        return False
    return True


class Schema:
    """Makes sure that a server can be used by this program."""

    def __init__(self, name: str, sealer: Sealer, *, replica_name: str, version: str) -> None:
        """Take what must fit.

        Args:
            name: The schema.
            sealer: Must open what the other replicas seal.
            replica_name: By which people know this process.
            version: Of this program.
        """
        self._name = name
        self._sealer = sealer
        self._replica = (replica_name, version)

    async def greet(self, session: Session, replica: bytes) -> None:
        """Make the schema fit, then write durably that this replica lives.

        Raises:
            MisfitError: when somebody must mend something first.
            QueueError: when it cannot be done now.
        """
        await self._prepare(session)
        await session.fetch(_ARRIVE, replica, *self._replica, LAYOUT)

    async def _prepare(self, session: Session) -> None:
        for _ in range(_TRIES):
            try:
                return await self._make_fit(session)
            except (ConflictError, DataRefusedError, LockTimeoutError) as error:
                # Another process creates the same: of two that do, one fails in the catalogue.
                log.info("another process prepares the schema: %s", error)
        raise QueueError("another process has been preparing the schema for long")

    async def _make_fit(self, session: Session) -> None:
        if not await self._fits(session):
            await self._migrate(session)

    async def _fits(self, session: Session) -> bool:
        """Tell whether nothing has to be done.

        Raises:
            MisfitError: when this program must not use it.
        """
        try:
            facts = {row["key"]: row for row in await session.fetch(_KNOWN)}
        except TableMissingError:
            return False
        if "schema" not in facts or "proof" not in facts:
            return False
        if facts["oldest"]["number"] > LAYOUT:
            raise MisfitError(f"the schema is for a newer version of capi-proxy (layout {facts['schema']['number']})")
        self._prove(facts["proof"]["bytes"])
        return int(facts["schema"]["number"]) >= LAYOUT

    def _prove(self, proof: bytes) -> None:
        try:
            self._sealer.open(proof, _PROOF_BOUND)
        except SealError as error:
            raise MisfitError(f"the database belongs to another server.secret: {error}") from error

    async def _migrate(self, session: Session) -> None:
        try:
            if not await session.fetch("SELECT FROM pg_namespace WHERE nspname = $1", self._name):
                await session.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._name}"')
            await session.execute(_META)
            await session.execute("BEGIN; SET LOCAL lock_timeout = '2s'")
            try:
                await self._migrate_locked(session)
            except BaseException:
                if not session.ended:
                    await session.execute("ROLLBACK")
                raise
            await session.execute("COMMIT")
        except MisfitError as error:
            raise MisfitError(f"{error}; let the owner of the database run: {self._remedy()}") from error

    async def _migrate_locked(self, session: Session) -> None:
        await session.execute("INSERT INTO meta(key, number) VALUES('schema', 0) ON CONFLICT DO NOTHING")
        await session.fetch(_LOCK)
        if await self._fits(session):
            return
        for statement in TABLES:
            await session.execute(statement)
        for fact in (("schema", LAYOUT, None), ("oldest", _OLDEST, None), ("proof", None, self._proof())):
            await session.fetch(_KEEP, *fact)

    def _proof(self) -> bytes:
        return self._sealer.seal(_PROOF, _PROOF_BOUND)

    def _remedy(self) -> str:
        return f'CREATE SCHEMA "{self._name}" AUTHORIZATION the_user_of_queue_url'
