"""What a server of the queue says about itself, as the doctor needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Holder:
    """What keeps vacuum from removing rows that were deleted since it began."""

    who: str
    """In words: which session, prepared transaction, slot or standby; never the text of a statement."""
    seconds: float | None
    """For how long; None where the server counts transactions only."""
    transactions: int
    """How many transactions began since."""


@dataclass(frozen=True, slots=True)
class IdleSlot:
    """A replication slot that nobody reads."""

    name: str
    kept_bytes: int
    """WAL that stays on the disk for it."""


@dataclass(frozen=True, slots=True)
class SilentProxy:
    """A proxy that worked on the queue today, did not stop in order, and is not heard of any more."""

    name: str
    seconds: float
    """For how long."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What one server said."""

    place: str
    """``host:port``."""
    settings: Mapping[str, str]
    """As a new session of this user has them, by the server's own names and in its own units."""
    is_standby: bool
    timeline: int
    """0 where the engine has none, or does not tell."""
    clock_s: float
    """By how much its clock is ahead of this machine's."""
    round_trip_s: float
    """``clock_s`` may be wrong by half of it."""
    sees_all: bool
    """Whether this user may see what other sessions and standbys do."""
    encrypted: bool
    """Whether nobody between this machine and the server can read along: by TLS, or a local socket."""
    pooled: bool
    """Whether a pooler answered that may give each transaction another session."""
    free_connections: int
    """How many connections this user may still open."""
    holders: Sequence[Holder] = ()
    """The oldest first."""
    idle_slots: Sequence[IdleSlot] = ()
    waited_for: int = 0
    """How many connected standbys there are that a commit waits for or may wait for."""
    seen_bytes: int = 0
    """Bytes that the duplicate memory takes on the server's disk."""
    unvacuumed: Sequence[str] = ()
    """Tables of the queue for which somebody switched autovacuum off."""
    may_create: bool = True
    """Whether this user may make what is missing of the queue's tables."""
    foreign_tables: Sequence[str] = ()
    """Tables of the queue that belong to somebody else."""
    silent: Sequence[SilentProxy] = ()
    """The latest first."""
    proof: bytes = b""
    """The proof that only the queue's secret opens (schema.py); empty while there is no queue."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server that could not be looked at."""

    place: str
    why: str
    """In words, without a password."""


Look: TypeAlias = ServerFacts | Unreachable
