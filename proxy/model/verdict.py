"""What Graph's answer to a batch means."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class GraphError:
    """What Graph said when it refused: kept with a dead letter, never interpreted by its text."""

    code: int | None = None
    subcode: int | None = None
    message: str = ""
    fbtrace_id: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Graph counted the batch; ``received`` differs from its size only when Graph says so."""

    received: int
    sent: int
    fbtrace_id: str = ""
    cooldown: float = 0.0
    """Seconds that Graph's usage headers ask to wait before the next request."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of this pixel can be delivered until somebody mends its token or permission."""

    reason: str
    graph_error: GraphError = GraphError()


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now; ``after`` is the least wait in seconds that Graph asked for.

    ``strike``: a 2xx that counted nothing. After three of those the events are dead.
    """

    reason: str
    after: float = 0.0
    strike: bool = False
    graph_error: GraphError = GraphError()


@dataclass(frozen=True, slots=True)
class Split:
    """Some event of the batch is bad; halves will tell which."""

    graph_error: GraphError


@dataclass(frozen=True, slots=True)
class Dead:
    """Graph will never take this one event; it is kept with Graph's words."""

    reason: str
    graph_error: GraphError = GraphError()


Verdict: TypeAlias = Delivered | Pause | Retry | Split | Dead
