"""The table of lanes: who delivers a pixel, how delivery stands with Graph, and how much waits."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from proxy.model.verdict import GraphError
from proxy.queue.contract import DeliveryState
from proxy.queue.postgres.transaction import Run

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS lane(
        lane text PRIMARY KEY, leader uuid, term int8 NOT NULL DEFAULT 0,
        paused text NOT NULL DEFAULT '', failures int4 NOT NULL DEFAULT 0, retry_at int8 NOT NULL DEFAULT 0,
        last_error text NOT NULL DEFAULT '', code int4, subcode int4, message text NOT NULL DEFAULT '',
        fbtrace_id text NOT NULL DEFAULT '',
        waiting int8 NOT NULL DEFAULT 0, held int8 NOT NULL DEFAULT 0, suspects int8 NOT NULL DEFAULT 0, next_due int8
    ) WITH (fillfactor = 50)
    """,
    "ALTER TABLE replica ADD COLUMN IF NOT EXISTS wishes text[] NOT NULL DEFAULT '{}'",
)
Row: TypeAlias = Mapping[str, Any]

# The beat tells the others that this process lives, and which lanes it wishes to lead. A process without a row was
# forgotten, or the database was restored from a backup: it leads nothing then, until it has a row again.
BEAT = """
WITH beat AS (UPDATE replica SET seen_at = now(), wishes = $2::text[] WHERE id = $1::uuid RETURNING id)
SELECT id, $2::text[] AS wishes FROM beat
UNION ALL
SELECT id, wishes FROM replica WHERE id <> $1::uuid AND seen_at > now() - $3::float8 * interval '1 second'
"""
LANES = "SELECT * FROM lane ORDER BY lane"
ADD = "INSERT INTO lane(lane) SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING"
# A living leader keeps its lanes. Those of a leader that has not beaten for a lease are taken only if $4 is true.
TAKE = """
UPDATE lane SET leader = $1::uuid, term = term + 1 WHERE lane IN (
    SELECT lane FROM lane WHERE lane = ANY($2::text[]) AND (leader IS NULL OR $4::bool AND NOT EXISTS (
        SELECT FROM replica WHERE id = leader AND seen_at > now() - $3::float8 * interval '1 second'))
    ORDER BY lane FOR UPDATE SKIP LOCKED)
RETURNING lane, term
"""
GIVE_BACK = "UPDATE lane SET leader = NULL WHERE leader = $1::uuid AND lane = ANY($2::text[])"
FORGET = "DELETE FROM replica WHERE seen_at < now() - interval '1 day' AND id <> $1::uuid"
_READ = "SELECT * FROM lane WHERE lane = $1::text"
_KEEP = """
UPDATE lane SET paused = $3::text, failures = $4::int4, retry_at = $5::int8, last_error = $6::text, code = $7::int4,
    subcode = $8::int4, message = $9::text, fbtrace_id = $10::text
WHERE lane = $1::text AND leader = $2::uuid
"""


class LaneCounts(NamedTuple):
    """How many events wait in a lane, as its leader counted."""

    waiting: int = 0
    held: int = 0
    suspects: int = 0
    next_due: int | None = None
    """When the next held segment is due, in milliseconds."""


COUNTED = """
UPDATE lane SET waiting = $3::int8, held = $4::int8, suspects = $5::int8, next_due = $6::int8
WHERE lane = $1::text AND leader = $2::uuid
    AND (waiting, held, suspects, next_due) IS DISTINCT FROM ($3::int8, $4::int8, $5::int8, $6::int8)
"""


def state_of(row: Row) -> DeliveryState:
    """Return how delivery of a lane stands."""
    error = GraphError(row["code"], row["subcode"], row["message"], row["fbtrace_id"])
    return DeliveryState(row["paused"], row["failures"], row["retry_at"], row["last_error"], error)


def counts_of(row: Row) -> LaneCounts:
    """Return how much waits in a lane."""
    return LaneCounts(row["waiting"], row["held"], row["suspects"], row["next_due"])


async def read_state(run: Run, lane: str) -> DeliveryState:
    """Return how delivery of a lane stands; the state without failures if none was stored.

    Raises:
        QueueError: when there is no answer.
    """
    rows = await run(_READ, lane)
    return state_of(rows[0]) if rows else DeliveryState()


async def keep_state(run: Run, lane: str, leader: bytes, state: DeliveryState) -> None:
    """Write how delivery of a lane stands, unless another process leads it now.

    Args:
        run: Runs statements.
        lane: Which lane.
        leader: This process.
        state: How it stands.

    Raises:
        QueueError: when there is no answer.
    """
    error = state.graph_error
    facts = (state.paused, state.failures, state.retry_at, state.last_error)
    await run(_KEEP, lane, leader, *facts, error.code, error.subcode, *map(_text, (error.message, error.fbtrace_id)))


def _text(words: str) -> str:
    """Return a text from outside as PostgreSQL accepts it: without NUL characters."""
    return words.replace("\0", "\N{REPLACEMENT CHARACTER}")
