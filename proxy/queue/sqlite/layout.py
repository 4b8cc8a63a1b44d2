"""The layout of the file: how it is made, proved to fit the secret, and brought from older layouts to this one.

On disk (``queue.db``)
    meta      the layout's facts: a sealed word that proves the secret fits, the last number of a dead letter, the first
              and the last number of a ledger row, the first that rollups count, how many updates each fate_D holds, the
              slot of the duplicate memory
    segment   id, pixel, n, attempts, strikes, sealed records: what one commit wrote for one pixel; when it arrived
              or became due, the bound of its batches if it is a suspect, when its oldest event happened (see age.py),
              the moment before which it is held or 0, the positions of records that are repeats and count for nothing,
              and a hash of the request fields that its records have in common, empty where they have none
    event_0…3 the duplicate memory: 12 bytes of an event's key with 4 bytes of its visitor, and a hash of the value of a
              Purchase; a table covers 16 hours and is emptied whole
    seen_0…3  the same as layout 5 kept it, until their 16 hours are over; in new files there are none
    order_M   the order memory: 16 bytes for an event of an order and a pixel, met in the 30 days M since 1970, and a
              hash of the value of a Purchase; a table is made with its first event, and dropped whole after four of
              these months
    unsent_order  events of orders that only pages brought, and of which no copy was sent yet: the same 16 bytes as in
              order_M, and until when the copy waits
    sighting  what a page left of its visitor, sealed, and when; sighting_slot by which keys and for whom it is found,
              and whether its visitor refuses
    dead      one sealed record per dead letter, with Graph's error
    ledger_D  finished events of day D without personal data, by number; forgotten from its oldest end, then dropped
    fate_D    later updates of browser copies, by event and visitor; likewise
    rollup_*  finished events counted by hour and by day, what they have in common, and which may still change their
              browser copy
    tally     small counts with words, by hour
    mark      suppressions: 16-byte keyed digest of a person who opted out, withdrew or was erased, and when
    lane      how delivery of each pixel stands with Graph: pause, failures, when to try again, Graph's last error

The tables ``fate_D`` and ``mark`` have the names that these things had before; others would cost a migration.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import apsw

from proxy.queue.seal import Sealer, SealError
from proxy.queue.sqlite import dead_letters, lanes, segment_table, sightings, suppressions, tallies, unsent
from proxy.queue.sqlite.dead_letters import DeadLetters
from proxy.queue.sqlite.ledger import Ledger
from proxy.queue.sqlite.seen import DuplicateMemory

SCHEMA_VERSION = 9
_PROOF, _PROOF_BOUND = b"capi-proxy", b"meta"
_META = "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"


def prepare(db: apsw.Connection, sealer: Sealer, now: Callable[[], int]) -> None:
    """Make an empty file one of this layout, or bring an older one to it.

    Args:
        db: The connection that writes.
        sealer: Must open everything that is sealed in the file.
        now: The server's clock in milliseconds.

    Raises:
        SealError: when a listed secret is missing, or the file is newer than this program.
        ValueError: when the file is damaged.
    """
    version = int(str(db.pragma("user_version")))
    if version > SCHEMA_VERSION:
        raise SealError(f"written by a newer version of capi-proxy (layout {version}); run that one")
    if version == 0:
        _create(db, sealer)
    _prove(db, sealer)
    _migrate(db, version, now)


def _create(db: apsw.Connection, sealer: Sealer) -> None:
    with db:
        db.execute(_META + segment_table.SCHEMA + dead_letters.SCHEMA + suppressions.SCHEMA + lanes.SCHEMA)
        db.execute(sightings.SCHEMA + unsent.SCHEMA + tallies.SCHEMA)
        db.execute("INSERT INTO meta VALUES('proof', ?)", (_proof(sealer),))
        DuplicateMemory.create(db)
        DeadLetters.start_numbers(db)
        ledger = Ledger(db)
        ledger.start_numbers()
        ledger.start_rollups()
        db.pragma("user_version", SCHEMA_VERSION)


def _prove(db: apsw.Connection, sealer: Sealer) -> None:
    """Refuse a file that the listed secrets do not open completely; then seal the proof with the current secret.

    So an old secret can be taken from the list once nothing else in the file is sealed with it.
    """
    row = db.execute("SELECT value FROM meta WHERE key='proof'").fetchone()
    proof = row[0] if row else None
    if not isinstance(proof, bytes):
        raise ValueError("it has lost the word that proves the secret")  # noqa: TRY004 - the file is at fault
    sealer.open(proof, _PROOF_BOUND)
    heads = "SELECT DISTINCT substr(sealed, 1, 5) FROM segment UNION SELECT DISTINCT substr(sealed, 1, 5) FROM dead"
    if not all(sealer.has_secret_of(bytes(head)) for (head,) in db.execute(heads)):
        raise SealError("it holds events sealed with a secret that is not listed in server.old_secrets")
    # On a full disk the old proof stays: the proxy must start, so that waiting events are delivered and free space.
    with suppress(apsw.FullError), db:
        db.execute("UPDATE meta SET value=? WHERE key='proof'", (_proof(sealer),))


def _proof(sealer: Sealer) -> bytes:
    return sealer.seal(_PROOF, _PROOF_BOUND)


def _migrate(db: apsw.Connection, version: int, now: Callable[[], int]) -> None:
    """Bring the file of an older program to this layout, step by step."""
    ledger = Ledger(db)
    steps: dict[int, Sequence[Callable[[], object]]] = {
        2: (partial(ledger.add_columns, 2), lambda: db.execute(suppressions.SCHEMA)),
        3: (partial(ledger.add_columns, 3), lambda: DeadLetters.start_numbers(db)),
        # Layout 4 also has withdrawals among the suppressions, which an older program cannot read.
        4: (lambda: segment_table.add_arrivals(db, now()),),
        5: (partial(ledger.add_columns, 5), lambda: DuplicateMemory.add_worth(db)),
        6: (
            ledger.start_numbers,
            lambda: db.execute(lanes.SCHEMA),
            lambda: segment_table.add_delay_and_skip(db),
            lambda: DuplicateMemory.add_tables(db),
        ),
        # Layout 7 also has servers' events among segments, dead letters and rows, which an older program cannot read.
        7: (partial(ledger.add_columns, 7), lambda: segment_table.add_fields(db)),
        # Layout 8 also has records that wait for another copy, which an older program cannot read.
        8: (lambda: segment_table.add_holds(db), lambda: db.execute(sightings.SCHEMA + unsent.SCHEMA)),
        # Layout 9 also has records with facts, which an older program cannot read.
        9: (partial(ledger.add_columns, 9), ledger.start_rollups, lambda: db.execute(tallies.SCHEMA)),
    }
    for layout, changes in steps.items():
        if 0 < version < layout:
            with db:
                for change in changes:
                    change()
                db.pragma("user_version", layout)
