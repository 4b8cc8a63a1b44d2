"""A data_dir with more dead letters than one page holds, and a finished event."""

from pathlib import Path

from support import PIXEL, SECRET, record

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.ledger import LedgerRow, Status
from proxy.model.verdict import GraphError
from proxy.queue.contract import NewDeadLetter, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.data_dir import DataDirLock
from proxy.queue.sqlite.engine import LocalQueue

REFUSED = 1200


async def fill(data_dir: Path) -> None:
    """Store more dead letters than one page holds, one with another reason, and a finished event."""
    DataDirLock(data_dir).close()
    queue = LocalQueue.open(
        data_dir,
        Sealer(SECRET),
        limits=QueueSettings(),
        retention=RetentionSettings(),
        now=_now,
        on_broken=lambda _error: None,
    )
    await queue.append([record(number) for number in range(REFUSED + 1)])
    segments = await queue.claim(PIXEL, most=REFUSED + 1)
    letters = [
        NewDeadLetter(record, "rejected", GraphError(100, 2804017, "Graph's words", "trace"), 1)
        for segment in segments
        for record in segment.records
    ]
    letters[0] = NewDeadLetter(letters[0].record, "not_received", GraphError(), 3)
    odd, findings = record(), ("em:unusable", "value:repaired")
    row = LedgerRow(_now(), PIXEL, odd.name, "odd", odd.time_s, Status.DELIVERED, findings=findings)
    await queue.settle(
        segments, Settlement(done=tuple(segment.ref for segment in segments), dead=tuple(letters), rows=(row,))
    )
    await queue.close()


def _now() -> int:
    return record().time_s * 1000
