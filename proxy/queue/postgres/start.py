"""Opens the shared queue of a ``data_dir``: its spool, the database, and a SQLite queue there that is still to move."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.condition import ConditionBoard
from proxy.queue.contract import QueueBrokenError
from proxy.queue.postgres.database import Database
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.engine import SharedQueue
from proxy.queue.postgres.errors import MisfitError
from proxy.queue.postgres.from_sqlite import OldQueue
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.operator_books import OperatorBooks
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.spool.away_report import AwayReport
from proxy.queue.spool.kept_sieve import KeptSieve
from proxy.queue.spool.spool import Spool
from proxy.queue.sqlite.data_dir import DATABASE_FILE


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Where a shared queue is, and how it is configured."""

    directory: Path
    """The locked ``data_dir``."""
    sealer: Sealer
    settings: QueueSettings
    retention: RetentionSettings
    now: Callable[[], int]
    """The server's clock in milliseconds."""
    version: str
    """Of this program."""
    join_days: int
    """Days for which sightings are kept: the longest time for which any site uses them."""


async def open_shared(
    place: SharedPlace,
    *,
    on_broken: Callable[[QueueBrokenError], None],
    conditions: ConditionBoard | None,
    sieve: Sieve | None,
) -> SharedQueue:
    """Open the queue; the database may be away, and come later.

    Args:
        place: Where it is.
        on_broken: Called when the disk under the spool failed, so that the spool may not be relied on any more.
        conditions: Is told when the database is away.
        sieve: Where suppressed people are entered, if other processes share its memory; None: a private one.

    Raises:
        QueueBrokenError: when the database is there but does not fit, or a file cannot be used.
    """
    async with AsyncExitStack() as stack:
        spool = _spool(place, on_broken)
        if spool:
            stack.push_async_callback(spool.close)
        database = make_database(
            place.settings.url.get_secret_value(),
            place.sealer,
            version=place.version,
            commit_timeout=place.settings.commit_timeout,
        )
        stack.push_async_callback(database.close)
        beside = _old_queue(place, database, conditions)
        try:
            await database.start()
        except MisfitError as error:
            raise QueueBrokenError(f"queue.url: {error}") from error
        if conditions:
            AwayReport(database, spool, conditions)
        queue = SharedQueue(
            database,
            spool,
            place.sealer,
            limits=place.settings,
            retention=place.retention,
            now=place.now,
            lease_s=place.settings.lease,
            join_days=place.join_days,
            sieve=KeptSieve(place.directory, sieve) if spool else sieve,
            beside=beside,
        )
        await queue.start()
        stack.pop_all()
    return queue


def _spool(place: SharedPlace, on_broken: Callable[[QueueBrokenError], None]) -> Spool | None:
    """Return the spool; None if none is configured, and an earlier process left nothing in one."""
    wanted = place.settings.spool
    if not wanted and not Spool.holds_anything(place.directory):
        return None
    return Spool.open(
        place.directory,
        most_bytes=place.settings.spool_max_bytes if wanted else 0,
        min_free_bytes=place.settings.min_free_bytes,
        now=place.now,
        on_broken=on_broken,
    )


def _old_queue(place: SharedPlace, database: Database, conditions: ConditionBoard | None) -> list[OldQueue]:
    path = place.directory / DATABASE_FILE
    if not path.exists():
        return []
    dead = SharedDeadLetters(place.sealer)
    return [OldQueue(path, place.sealer, database, dead, place.now, conditions=conditions)]


async def open_books(place: SharedPlace) -> OperatorBooks:
    """Open the books alone, for a command; nothing is delivered, and what the spool holds stays there.

    Raises:
        QueueError: when the database cannot be used now.
    """
    database = make_database(place.settings.url.get_secret_value(), place.sealer, version=place.version)
    return await OperatorBooks.open(database, place.sealer, place.retention, place.now)
