"""The tables of the shared queue: how they are made, proved to fit the secret, and brought to this program's layout.

Each part names its own tables (``TABLES``); here stand those that all of them need. Nothing is used that engines beside
PostgreSQL lack: no sequences, triggers, functions, declarative partitions, advisory locks or temporary tables.

Several processes may start at once, and those of two versions work side by side: a row of ``meta`` is the lock, and
what a newer version adds is what an older one need not know. A step that an older one would stumble over waits until
no such process lives.

Of each secret that a process sealed with there is a proof: a sealed word, and when it was last used. A process must be
able to open all of them, or it would leave alone what others sealed.
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
from proxy.queue.postgres.schema_rights import remedy
from proxy.queue.postgres.session import Session
from proxy.queue.seal import Sealer, SealError

log = logging.getLogger(__name__)

_PROOF, _PROOF_BOUND = b"capi-proxy", b"meta"
_TRIES = 10
# Dead letters rest longest, 90 days at most, after up to 7 in which they waited.
_SEALED_DAYS = 100
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::int8"

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
    """The lowest layout whose programs can go on beside it."""
    tables: Sequence[str]
    steps: Mapping[int, Sequence[str]]
    """By the layout that they lead to: what brings one layout lower to it."""


CURRENT = Layout(2, 1, TABLES, {})
"""Layout 2 counts what the ledger has, and gives its rows further columns, of which older programs know nothing."""

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
    """Tell whether what proves the secret of a queue is of a secret that is listed."""
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
        """Take what must fit.

        Args:
            name: The schema.
            sealer: Must open what the other replicas seal.
            replica_name: By which people know this process.
            version: Of this program.
            sealed_days: How long something rests that is sealed.
            layout: What this program needs.
        """
        self._name = name
        self._sealer = sealer
        self._replica = (replica_name, version)
        self._sealed_ms = sealed_days * DAY_MS
        self._layout = layout

    async def greet(self, session: Session, replica: bytes) -> None:
        """Make the schema fit, then write durably that this replica lives.

        Raises:
            MisfitError: when somebody must mend something first.
            QueueError: when it cannot be done now.
        """
        try:
            await self._prepare(session)
            await self._prove(session)
            await session.fetch(search_jump.COUNT)
            await session.fetch(_ARRIVE, replica, *self._replica, self._layout.number)
        except MisfitError as error:
            statements = "" if session.ended else await remedy(session, self._name)
            if not statements:
                raise
            raise MisfitError(f"{error}; let the owner of the database run: {statements}") from error

    async def _prepare(self, session: Session) -> None:
        for _ in range(_TRIES):
            try:
                return await self._make_fit(session)
            except (ConflictError, DataRefusedError, LockTimeoutError) as error:
                # Another process creates the same: of two that do, one fails in the catalogue.
                log.info("another process prepares the schema: %s", error)
        raise QueueError("another process has been preparing the schema for long")

    async def _make_fit(self, session: Session) -> None:
        if await self._fits(session):
            # Programs of an older layout may have worked here alone since.
            await self._complete_days(session)
            return
        if not await session.fetch("SELECT FROM pg_namespace WHERE nspname = $1", self._name):
            await session.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._name}"')
        await session.execute(_META)
        await self._complete_days(session)
        await _together(session, partial(self._migrate, session))

    async def _complete_days(self, session: Session) -> None:
        for day in await ledger_days.old_days(session.fetch):
            # Each by itself, so that those who write the ledger meanwhile wait for no more than one of them.
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
        """Say that something is sealed with our secret, and forget those with which nothing is any more."""
        proof = self._proof()
        await session.fetch(_KEEP, "proof", None, proof)
        await session.fetch(_PROVE, f"proof {self._sealer.secret_id.hex()}", proof)
        await session.fetch(_FORGET, self._sealed_ms)

    def _proof(self) -> bytes:
        return self._sealer.seal(_PROOF, _PROOF_BOUND)


async def _together(session: Session, work: Callable[[], Awaitable[None]]) -> None:
    """Do something in one transaction, which waits for nobody's table for long."""
    await session.execute("BEGIN; SET LOCAL lock_timeout = '2s'")
    try:
        await work()
    except BaseException:
        if not session.ended:
            await session.execute("ROLLBACK")
        raise
    await session.execute("COMMIT")
