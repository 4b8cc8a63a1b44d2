"""The shared dead letters: events that Graph refused for good, kept with its error until replayed or too old.

Their numbers come from a row of ``meta``, raised in the transaction that writes them: dead letters are rare, so nobody
waits long for that row, and no number is ever given twice. Suppressions of the people are looked up in that transaction
too, while it holds a lock on the row that every new suppression must update: whichever of the two commits first, the
other sees it.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias

from proxy.graph.age import aging_from_s
from proxy.model.event import DropReason
from proxy.model.record import Record
from proxy.model.verdict import GraphError
from proxy.queue.codec import pack, unpack
from proxy.queue.contract import DeadLetter, Filter, NewDeadLetter
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer, SealError

log = logging.getLogger(__name__)

Refuses: TypeAlias = Callable[[Run, Sequence[Record]], Awaitable[Sequence[DropReason | None]]]
"""Reads from the table of suppressions why each of some records is forbidden; None for a record that is not."""

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS dead(
        id int8 PRIMARY KEY, at int8 NOT NULL, pixel text NOT NULL, name text NOT NULL, event_id text NOT NULL,
        time_s int8 NOT NULL, reason text NOT NULL, code int8, subcode int8, message text NOT NULL,
        fbtrace_id text NOT NULL, attempts int4 NOT NULL, sealed bytea NOT NULL
    )
    """,
    "ALTER TABLE dead ALTER sealed SET STORAGE EXTERNAL",
    "INSERT INTO meta(key, number) VALUES('dead_last', 0) ON CONFLICT DO NOTHING",
)
_LAST = (1 << 63) - 1
# Letters looked at in one transaction, and their bytes.
SLICE, SLICE_BYTES = 1000, 4 << 20
_NO_OPT_OUT = "SELECT number FROM meta WHERE key = 'marks' FOR SHARE"
_NUMBERS = "UPDATE meta SET number = number + $1 WHERE key = 'dead_last' RETURNING number - $1 AS number"
_INSERT = """
INSERT INTO dead SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::int8[],
    $7::text[], $8::int8[], $9::int8[], $10::text[], $11::text[], $12::int4[], $13::bytea[])
"""
_SLICE = f"""
SELECT id, pixel, sealed FROM (
  SELECT *, sum(length(sealed)) OVER (ORDER BY id) - length(sealed) AS before
  FROM (SELECT id, pixel, sealed FROM dead WHERE id > $1 ORDER BY id LIMIT {SLICE}) letters
) measured WHERE before < {SLICE_BYTES} ORDER BY id
"""  # noqa: S608 - our own numbers
_LOCKED = "SELECT id, pixel, sealed FROM dead WHERE id = ANY($1::int8[]) ORDER BY id FOR UPDATE"
_REMOVE = f"""
DELETE FROM dead WHERE id IN (SELECT id FROM ({_LOCKED.replace(", pixel, sealed", "")}) locked) RETURNING id
"""  # noqa: S608 - our own text
_FORGET = f"""
DELETE FROM dead WHERE id = ANY(ARRAY(SELECT id FROM dead ORDER BY id LIMIT {SLICE})) AND at < $1 RETURNING id
"""  # noqa: S608 - our own number


class SharedDeadLetters:
    """Reads and writes dead letters, within transactions that its callers start: ``run`` runs their statements."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def count(self, run: Run) -> int:
        """Return how many letters there are."""
        return int((await run("SELECT count(*) AS letters FROM dead"))[0]["letters"])

    async def add_permitted(self, run: Run, letters: Sequence[NewDeadLetter], at: int, refusals: Refuses) -> int:
        """Add those letters that no suppression forbids; return how many were added.

        Args:
            run: Runs statements of the transaction that ends these events.
            letters: What Graph refused.
            at: Server clock in milliseconds.
            refusals: Looks suppressions up.
        """
        if not letters:
            return 0
        await run(_NO_OPT_OUT)
        reasons = await refusals(run, [letter.record for letter in letters])
        permitted = [letter for letter, reason in zip(letters, reasons, strict=True) if reason is None]
        await self.insert(run, [self._row(letter, at) for letter in permitted])
        return len(permitted)

    def _row(self, letter: NewDeadLetter, at: int) -> tuple[object, ...]:
        record, error = letter.record, letter.graph_error
        event = (storable_text(record.pixel), storable_text(record.name), storable_text(record.id), record.time_s)
        refusal = (
            storable_text(letter.reason),
            error.code,
            error.subcode,
            storable_text(error.message),
            storable_text(error.fbtrace_id),
        )
        sealed = self._sealer.seal(pack([record]), record.pixel.encode())
        return (at, *event, *refusal, letter.attempts, sealed)

    async def insert(self, run: Run, rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows, which have all columns but the number; they get new numbers in their order."""
        if not rows:
            return
        last = int((await run(_NUMBERS, len(rows)))[0]["number"])
        columns = [list(column) for column in zip(*rows, strict=True)]
        await run(_INSERT, list(range(last + 1, last + 1 + len(rows))), *columns)

    async def read(self, run: Run, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first."""
        fields = {"pixel": wanted.pixel, "name": wanted.name, "event_id": wanted.id, "reason": wanted.reason}
        texts = {column: storable_text(value) for column, value in fields.items() if value}
        condition = "".join(f" AND {column} = ${number}" for number, column in enumerate(texts, 3))
        sql = f"SELECT * FROM dead WHERE id < $1{condition} ORDER BY id DESC LIMIT $2"  # noqa: S608 - our own names
        rows = await run(sql, wanted.before or _LAST, wanted.limit, *texts.values())
        return [self._letter(row) for row in rows]

    def _letter(self, row: Any) -> DeadLetter:
        number, at, pixel, name, identity, time_s, reason, code, subcode, message, trace, attempts, sealed = row
        record = self._opened(number, pixel, sealed)
        graph_error = GraphError(code, subcode, message, trace)
        payload = record.whole if record else b""
        return DeadLetter(number, at, pixel, name, identity, time_s, reason, graph_error, attempts, payload)

    def _opened(self, number: int, pixel: str, sealed: bytes) -> Record | None:
        """Return the record of a letter, or None if it is damaged, so that other letters can still be read."""
        try:
            return unpack(self._sealer.open(sealed, pixel.encode()), pixel)[0]
        except (SealError, ValueError, IndexError):
            log.exception("dead letter %d of pixel %s was damaged", number, pixel)
            return None

    async def take(self, run: Run, ids: Sequence[int], not_before_s: int) -> list[Record]:
        """Remove those of the letters whose events age from ``not_before_s`` or later; return their records.

        They come in the order of ``ids``. Damaged letters stay. If two callers take the same letter at one moment, only
        the first gets it.

        Args:
            run: Runs statements of the transaction that puts the records back.
            ids: Numbers of letters.
            not_before_s: Unix time in seconds.
        """
        rows = await run(_LOCKED, list(ids))
        opened = {row["id"]: self._opened(row["id"], row["pixel"], row["sealed"]) for row in rows}
        records = {
            number: record
            for number, record in opened.items()
            if record and aging_from_s(record.time_s, record.action_source) >= not_before_s
        }
        removed = await self._remove(run, list(records))
        return [records[number] for number in dict.fromkeys(ids) if number in removed]

    async def discard(self, run: Run, ids: Sequence[int]) -> int:
        """Remove letters by their numbers; return how many of them existed."""
        return len(await self._remove(run, ids))

    @staticmethod
    async def _remove(run: Run, ids: Sequence[int]) -> set[int]:
        """Remove letters by their numbers; return the numbers of those that existed."""
        return {row["id"] for row in await run(_REMOVE, list(ids))} if ids else set()

    async def erase(self, run: Run, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove the letters about people from the next slice.

        Args:
            run: Runs statements of the slice's transaction.
            person_digests: Of the people.
            after: The number of the last letter of the slice before; 0 at first.

        Returns:
            How many letters were removed, and the number of the last one looked at; 0 when there are no more.
        """
        rows = await run(_SLICE, after)
        opened = {row["id"]: self._opened(row["id"], row["pixel"], row["sealed"]) for row in rows}
        digests = set(person_digests)
        about = [
            number for number, record in opened.items() if record and not digests.isdisjoint(record.person_digests)
        ]
        return await self.discard(run, about), rows[-1]["id"] if rows else 0

    async def forget(self, run: Run, before: int) -> bool:
        """Remove the letters of the oldest slice that were added before a moment; tell whether there may be more."""
        return len(await run(_FORGET, before)) == SLICE
