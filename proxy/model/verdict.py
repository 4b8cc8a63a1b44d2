"""What Graph's answer to a batch means: the five verdicts."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class GraphError:
    """The ``error`` of an answer of Graph; shown to people, never interpreted by its text.

    https://developers.facebook.com/docs/graph-api/guides/error-handling
    """

    code: int | None = None
    subcode: int | None = None
    message: str = ""
    fbtrace_id: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Graph counted the batch."""

    received: int
    """How many events Graph says it counted."""
    sent: int
    """How many events the batch held."""
    fbtrace_id: str = ""
    cooldown: float = 0.0
    """Seconds that Graph's usage headers ask to wait before the next request."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of this pixel can be delivered until somebody mends its token, its permission or its settings."""

    reason: str
    graph_error: GraphError = GraphError()


@dataclass(frozen=True, slots=True)
class Retry:
    """Graph neither took nor refused the events; the batch is sent again later."""

    reason: str
    after: float = 0.0
    """How many seconds Graph asked to wait at least."""
    uncounted: bool = False
    """True for a 2xx that counted no event; after three of those the events are dead."""
    graph_error: GraphError = GraphError()


@dataclass(frozen=True, slots=True)
class Split:
    """Some event of the batch is bad; smaller batches will tell which."""

    graph_error: GraphError


@dataclass(frozen=True, slots=True)
class Dead:
    """Graph will never take this one event; it becomes a dead letter."""

    reason: str
    graph_error: GraphError = GraphError()


Verdict: TypeAlias = Delivered | Pause | Retry | Split | Dead
