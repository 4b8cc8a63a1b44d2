"""The table of lanes: how delivery of each pixel stands with Graph, which a restart must not forget."""

import apsw

from proxy.model.verdict import GraphError
from proxy.queue.contract import DeliveryState

SCHEMA = """
CREATE TABLE lane(
    pixel TEXT PRIMARY KEY, paused TEXT NOT NULL, failures INTEGER NOT NULL, retry_at INTEGER NOT NULL,
    last_error TEXT NOT NULL, code INTEGER, subcode INTEGER, message TEXT NOT NULL, fbtrace_id TEXT NOT NULL
) WITHOUT ROWID;
"""


class Lanes:
    """The table of lanes; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def read(self, pixel: str) -> DeliveryState:
        """Return how delivery of a pixel stands; without a row nothing is wrong with it."""
        row: tuple[str, int, int, str, int | None, int | None, str, str] | None = self._db.execute(
            "SELECT paused, failures, retry_at, last_error, code, subcode, message, fbtrace_id FROM lane WHERE pixel=?",
            (pixel,),
        ).fetchone()
        return DeliveryState(*row[:4], GraphError(*row[4:])) if row else DeliveryState()

    def keep(self, pixel: str, state: DeliveryState) -> None:
        """Write how delivery of a pixel stands; a lane with which nothing is wrong has no row."""
        if state == DeliveryState():
            self._db.execute("DELETE FROM lane WHERE pixel=?", (pixel,))
            return
        error = state.graph_error
        facts = (state.paused, state.failures, state.retry_at, state.last_error)
        refusal = (error.code, error.subcode, error.message, error.fbtrace_id)
        self._db.execute("INSERT OR REPLACE INTO lane VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", (pixel, *facts, *refusal))
