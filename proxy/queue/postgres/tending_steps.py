"""What there is to tend: each step by its name, in the order in which they are done."""

from collections.abc import Callable, Mapping

from proxy.config.schema import RetentionSettings
from proxy.model.units import DAY_MS
from proxy.queue.postgres import ledger_days, orders, seen_slots, sightings, suppressions
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger_forgetting import LedgerBytes, forget_days
from proxy.queue.postgres.tending import Step
from proxy.queue.postgres.transaction import Run


def steps(
    dead: SharedDeadLetters, retention: RetentionSettings, now: Callable[[], int], *, join_days: int
) -> Mapping[str, Step]:
    """Return all steps.

    Args:
        dead: The dead letters.
        retention: How long what is over stays.
        now: The server's clock in milliseconds.
        join_days: How long a sighting may be of use to any site.
    """

    async def days(run: Run) -> bool:
        today = now() // DAY_MS
        for day in (today, today + 1):
            await ledger_days.create(run, day)
        return False

    return {
        "days of the ledger": days,
        "turn of the duplicate memory": lambda run: seen_slots.turn(run, now()),
        "old days of the ledger": lambda run: forget_days(run, now(), retention.ledger_days),
        "bytes of the ledger": LedgerBytes(retention.ledger_max_bytes).forget,
        "dead letters": lambda run: dead.forget(run, now() - retention.dead_days * DAY_MS),
        "suppressions": lambda run: suppressions.forget(run, now(), retention),
        "orders": lambda run: orders.forget(run, now()),
        "sightings": lambda run: sightings.forget(run, now(), join_days),
    }
