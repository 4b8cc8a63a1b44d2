"""What the holder of the lane ``@tend`` does every minute for all proxies; see tending.py."""

from collections.abc import Callable, Mapping

from proxy.config.schema import RetentionSettings
from proxy.model.units import DAY_MS
from proxy.queue.postgres import orders, seen, sightings, suppressions
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger_forgetting import LedgerBytes, forget_days
from proxy.queue.postgres.tending import Step


def chores(
    retention: RetentionSettings, join_days: int, dead: SharedDeadLetters, now: Callable[[], int]
) -> Mapping[str, Step]:
    """Return the steps, by names for the log.

    Args:
        retention: How long what is over stays.
        join_days: How long a sighting may be of use to any site.
        dead: The dead letters.
        now: The server's clock in milliseconds.
    """
    return {
        "the turn of the duplicate memory": lambda run: seen.turn(run, now()),
        "old orders": lambda run: orders.forget(run, now()),
        "old sightings": lambda run: sightings.forget(run, now(), join_days),
        "old suppressions": lambda run: suppressions.forget(run, now(), retention),
        "old days of the ledger": lambda run: forget_days(run, now(), retention.ledger_days),
        "rows beyond the bytes of the ledger": LedgerBytes(retention.ledger_max_bytes).forget,
        "old dead letters": lambda run: dead.forget(run, now() - retention.dead_days * DAY_MS),
    }
