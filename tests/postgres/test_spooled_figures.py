"""The figures of a queue about events that its database does not have yet."""

from pathlib import Path

from clock import NOON, Clock
from postgres_server import free_port
from support import SECRET, record

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.queue.postgres.engine import SharedQueue
from proxy.queue.postgres.opening import make_database
from proxy.queue.seal import Sealer
from proxy.queue.spool.spool import Spool


async def test_events_in_the_spool_are_counted(tmp_path: Path) -> None:
    """While no server can be reached, acknowledged events are counted as spooled."""
    sealer = Sealer(SECRET)
    database = make_database(f"postgresql://nobody@127.0.0.1:{free_port()}/none", sealer, schema="away")
    spool = Spool.open(tmp_path, most_bytes=1 << 30, min_free_bytes=0, now=lambda: NOON, on_broken=lambda _error: None)
    limits, retention = QueueSettings(), RetentionSettings()
    queue = SharedQueue(database, spool, sealer, limits=limits, retention=retention, now=Clock(), lease_s=15.0)
    await database.start(patience=0.1)
    await queue.start()
    before = queue.stats().spooled
    await queue.append([record(1), record(2)])
    after = queue.stats().spooled
    await queue.close()

    assert (before, after) == (0, 2)
