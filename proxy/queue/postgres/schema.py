"""The tables of the shared queue: how they are made, proved to fit the secret, and brought to this program's layout.

Each part names its own tables (``TABLES``); this module has those that all parts need. Nothing is used that databases
which speak PostgreSQL's protocol may lack: no sequences, triggers, functions, declarative partitions, advisory locks or
temporary tables.

Several processes may start at once, and two versions of the program work side by side: a row of ``meta`` is the lock,
and an older version need not know what a newer one adds. An upgrade that an older version could not work with fails
until no such process lives.

For each secret that a process sealed with, ``meta`` has a proof: a word sealed with it, and when the secret was last
used. A process must be able to open all proofs: it could not deliver what others seal with a secret unknown to it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from proxy.model.units import DAY_MS
from proxy.queue.contract import QueueError
from proxy.queue.postgres import (
    dead_letters,
    lane_table,
    ledger_days,
    orders,
    pixel_orders,
    rollup_table,
    search_jump,
    seen_slots,
    segment_table,
    sightings,
    suppressions,
)
from proxy.queue.postgres.errors import (
    ConflictError,
    DataRefusedError,
    LockTimeoutError,
    MisfitError,
    TableMissingError,
)
from proxy.queue.postgres.schema_rights import missing_grants
from proxy.queue.postgres.session import Session
from proxy.queue.seal import Sealer, SealError

log = logging.getLogger(__name__)

_PROOF, _PROOF_BOUND = b"capi-proxy", b"meta"
_TRIES = 10
# Days that sealed data may be stored: longest are dead letters, 90 days at most, after up to 7 in which they waited.
_SEALED_DAYS = 100
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::int8"

_META = "CREATE TABLE IF NOT EXISTS meta(key text PRIMARY KEY, number int8, bytes bytea)"
# The processes that live. A process updates its row as its beat, to probe the server with a durable write, and as the
# witness of a group of repeats only: if such an append finds no row here, it has written nothing, and must not be
# acknowledged.
_REPLICA = """CREATE TABLE IF NOT EXISTS replica(
    id uuid PRIMARY KEY, name text NOT NULL, version text NOT NULL, layout int4 NOT NULL,
    started_at timestamptz NOT NULL, seen_at timestamptz NOT NULL,
    spooled int8 NOT NULL DEFAULT 0, repeats int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50)"""
TABLES: tuple[str, ...] = (
    _REPLICA,
    *lane_table.TABLES,
    *pixel_orders.TABLES,
    *segment_table.TABLES,
    *seen_slots.TABLES,
    *orders.TABLES,
    *sightings.TABLES,
    *suppressions.TABLES,
    *dead_letters.TABLES,
    *rollup_table.TABLES,
)
"""All tables but ``meta``: each part's ``TABLES`` is added here."""


class Layout(NamedTuple):
    """What a version of the program needs of the database."""

    number: int
    oldest: int
    """The lowest layout whose programs can work beside it."""
    tables: Sequence[str]
    steps: Mapping[int, Sequence[str]]
    """Statements that upgrade from the layout before, by the layout that they lead to."""


CURRENT = Layout(2, 1, TABLES, {})
"""Layout 2 adds the rollups, and further columns of the ledger's rows; programs of layout 1 know nothing of them."""

_ARRIVE = """INSERT INTO replica(id, name, version, layout, started_at, seen_at) VALUES($1, $2, $3, $4, now(), now())
ON CONFLICT (id) DO UPDATE SET seen_at = now()"""
_KNOWN = "SELECT key, number, bytes FROM meta WHERE key IN ('schema', 'oldest', 'proof') OR key LIKE 'proof %'"
_LOCK = "SELECT number FROM meta WHERE key = 'schema' FOR UPDATE"
_KEEP = """INSERT INTO meta(key, number, bytes) VALUES($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET number = excluded.number, bytes = excluded.bytes"""
_PROVE = f"""INSERT INTO meta(key, number, bytes) VALUES($1, {_NOW}, $2)
ON CONFLICT (key) DO UPDATE SET number = {_NOW}"""
_FORGET = f"DELETE FROM meta WHERE key LIKE 'proof %' AND number < {_NOW} - $1"  # noqa: S608 - our own text
_OLDER = """SELECT name, version FROM replica WHERE layout < $1 AND seen_at > now() - interval '1 minute'
ORDER BY name LIMIT 1"""


def is_opened_by(proof: bytes, sealer: Sealer) -> bool:
    """Tell whether one of the listed secrets opens a proof."""
    try:
        sealer.open(proof, _PROOF_BOUND)
    except SealError:
        return False
    return True


class Schema:
    """Makes sure that a server can be used by this program."""

    def __init__(  # noqa: PLR0913 - what a server must fit
        self,
        name: str,
        sealer: Sealer,
        *,
        replica_name: str,
        version: str,
        sealed_days: int = _SEALED_DAYS,
        layout: Layout = CURRENT,
    ) -> None:
        """Take what the server must fit.

        Args:
            name: The schema.
            sealer: Must open what the other replicas seal.
            replica_name: The name of this process that people see.
            version: Of this program.
            sealed_days: Days that sealed data may be stored.
            layout: What this program needs.
        """
        self._name = name
        self._sealer = sealer
        self._replica = (replica_name, version)
        self._sealed_ms = sealed_days * DAY_MS
        self._layout = layout

    async def register_replica(self, session: Session, replica: bytes) -> None:
        """Make the schema fit, then write durably that this replica lives.

        Raises:
            MisfitError: when somebody must mend something first.
            QueueError: when it cannot be done now.
        """
        try:
            await self._prepare(session)
            await self._prove(session)
            await session.fetch(search_jump.WRITE_COUNTED_SINCE)
            await session.fetch(_ARRIVE, replica, *self._replica, self._layout.number)
        except MisfitError as error:
            statements = "" if session.ended else await missing_grants(session, self._name)
            if not statements:
                raise
            raise MisfitError(f"{error}; let the owner of the database run: {statements}") from error

    async def _prepare(self, session: Session) -> None:
        for _ in range(_TRIES):
            try:
                return await self._make_fit(session)
            except (ConflictError, DataRefusedError, LockTimeoutError) as error:
                # Another process creates the same tables at this moment: one of the two fails in the catalogue.
                log.info("another process prepares the schema: %s", error)
        raise QueueError("another process has been preparing the schema for long")

    async def _make_fit(self, session: Session) -> None:
        if await self._fits(session):
            # Programs of an older layout may have made day tables since, without the new columns.
            await self._complete_days(session)
            return
        if not await session.fetch("SELECT FROM pg_namespace WHERE nspname = $1", self._name):
            await session.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._name}"')
        await session.execute(_META)
        await self._complete_days(session)
        await _together(session, partial(self._migrate, session))

    async def _complete_days(self, session: Session) -> None:
        for day in await ledger_days.old_days(session.fetch):
            # Each in its own transaction, so that writers of the ledger never wait for more than one of them.
            await _together(session, partial(ledger_days.add_columns, session.fetch, day))

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
        if facts["oldest"]["number"] > self._layout.number:
            raise MisfitError(f"the schema is for a newer version of capi-proxy (layout {facts['schema']['number']})")
        proofs = [row["bytes"] for key, row in facts.items() if key.startswith("proof ")]
        self._require_secrets(proofs or [facts["proof"]["bytes"]])
        return int(facts["schema"]["number"]) >= self._layout.number

    def _require_secrets(self, proofs: Sequence[bytes]) -> None:
        opened = [is_opened_by(proof, self._sealer) for proof in proofs]
        if not any(opened):
            raise MisfitError("the database belongs to another server.secret")
        if not all(opened):
            raise MisfitError("it holds what was sealed with a secret that is not listed in server.old_secrets")

    async def _migrate(self, session: Session) -> None:
        await session.execute("INSERT INTO meta(key, number) VALUES('schema', 0) ON CONFLICT DO NOTHING")
        found = int((await session.fetch(_LOCK))[0]["number"])
        if await self._fits(session):
            return
        layout = self._layout
        if found and (older := await session.fetch(_OLDER, layout.oldest)):
            name, version = older[0]
            raise MisfitError(f"version {version} still runs ({name}) and could not go on; stop or upgrade it first")
        steps = [layout.steps.get(number, ()) for number in range(found + 1, layout.number + 1)] if found else []
        for statement in [*layout.tables, *(statement for step in steps for statement in step)]:
            await session.execute(statement)
        for fact in (("schema", layout.number), ("oldest", layout.oldest)):
            await session.fetch(_KEEP, *fact, None)
        await session.fetch(_KEEP, "proof", None, self._proof())

    async def _prove(self, session: Session) -> None:
        """Write the proof of our secret, and delete the proofs of secrets with which nothing is sealed any more."""
        proof = self._proof()
        await session.fetch(_KEEP, "proof", None, proof)
        await session.fetch(_PROVE, f"proof {self._sealer.secret_id.hex()}", proof)
        await session.fetch(_FORGET, self._sealed_ms)

    def _proof(self) -> bytes:
        return self._sealer.seal(_PROOF, _PROOF_BOUND)


async def _together(session: Session, work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` in one transaction, which waits for a lock for two seconds at most."""
    await session.execute("BEGIN; SET LOCAL lock_timeout = '2s'")
    try:
        await work()
    except BaseException:
        if not session.ended:
            await session.execute("ROLLBACK")
        raise
    await session.execute("COMMIT")
