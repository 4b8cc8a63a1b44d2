"""The limits from which on something about the servers of a queue is a finding, and how such a finding begins."""

from dataclasses import dataclass

from proxy.doctor.finding import Finding
from proxy.queue.postgres.server_facts import Look

KEY = "queue.url"
PROCESS_CONNECTIONS = 4
"""Connections that one proxy process needs."""
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class DatabaseBounds:
    """The limits from which on something is a finding."""

    oldest_version: int = 14
    held_s: float = 600
    held_transactions: int = 100_000
    """Used where no age in seconds is known: a quarter of an hour at a hundred transactions a second."""
    large_seen_bytes: int = GIB
    checkpoint_s: int = 900
    clock_s: float = 30
    spare_connections: int = 2 * PROCESS_CONNECTIONS


USUAL = DatabaseBounds()


def finding_about(server: Look, code: str, text: str) -> Finding:
    """Return a finding about one server.

    Args:
        server: The server.
        code: The finding's code in the catalogue.
        text: The text that follows the server's address.
    """
    return Finding(code, KEY, f"{server.place} {text}")
