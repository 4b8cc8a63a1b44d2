"""The steps of tending, by their names, in the order in which they are done."""

from collections.abc import Mapping

from proxy.config.schema import RetentionSettings
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.postgres import ledger_days, orders, rollup_table, seen_slots, sightings, suppressions
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.ledger_forgetting import LedgerBytes, forget_days
from proxy.queue.postgres.tending import Step
from proxy.queue.postgres.transaction import Run


def steps(
    dead: SharedDeadLetters, ledger: SharedLedger, retention: RetentionSettings, *, join_days: int
) -> Mapping[str, Step]:
    """Return all steps.

    Args:
        dead: The dead letters.
        ledger: The ledger, whose rollups are made exact.
        retention: How long finished events, dead letters, rollups and suppressions are kept.
        join_days: Days for which sightings are kept: the longest time for which any site uses them.
    """
    ledger_bytes = LedgerBytes(retention)
    return {
        "days of the ledger": _days,
        "turn of the duplicate memory": seen_slots.rotate_tables,
        "browser copies": lambda run, _now: ledger.reconcile(run),
        "old days of the ledger": lambda run, now: forget_days(run, now, retention),
        "bytes of the ledger": lambda run, _now: ledger_bytes.forget(run),
        "old rollups": lambda run, now: rollup_table.forget(run, (now - retention.rollup_days * DAY_MS) // HOUR_MS),
        "dead letters": lambda run, now: dead.forget(run, now - retention.dead_days * DAY_MS),
        "suppressions": lambda run, now: suppressions.forget(run, now, retention),
        "orders": orders.forget,
        "sightings": lambda run, now: sightings.forget(run, now, join_days),
    }


async def _days(run: Run, now: int) -> bool:
    """Make the ledger tables of today and tomorrow."""
    for day in (now // DAY_MS, now // DAY_MS + 1):
        await ledger_days.create(run, day)
    return False
