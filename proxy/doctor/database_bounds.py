"""From where on something about the servers of a queue is worth a word, and how such words begin."""

from dataclasses import dataclass

from proxy.doctor.finding import Finding
from proxy.queue.postgres.server_facts import Look

KEY = "queue.url"
PROCESS_CONNECTIONS = 4
"""Of one process."""
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class DatabaseBounds:
    """From where on something is worth a word."""

    oldest_version: int = 14
    held_s: float = 600
    held_transactions: int = 100_000
    """For what has no age in seconds: at a hundred groups a second, a quarter of an hour."""
    large_seen_bytes: int = GIB
    checkpoint_s: int = 900
    clock_s: float = 30
    spare_connections: int = 2 * PROCESS_CONNECTIONS


USUAL = DatabaseBounds()


def about(server: Look, code: str, text: str) -> Finding:
    """Return a finding about one server.

    Args:
        server: Which.
        code: See ``Finding``.
        text: What follows its address.
    """
    return Finding(code, KEY, f"{server.place} {text}")
