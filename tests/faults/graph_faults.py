"""The ways in which Graph can misbehave, as the simulator is told, and what the proxy says of each."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What the simulator is told, and what the proxy shall say of it meanwhile."""

    order: dict[str, Any]
    says: str
    paused: bool = False
    buries: bool = False
    """Events become dead letters."""
    timeout: float = 30.0
    """Seconds for a request; where that is not the fault, so many that a busy machine does not look like one."""
    ends: str = ""
    """What its end may look like: a request that hangs is hung up then."""


FAULTS = {
    "500": Fault({"mode": "500"}, "down"),
    "500 with HTML": Fault({"mode": "500", "html": True}, "http_500"),
    "429 with usage": Fault({"mode": "429"}, "throttled"),
    "190": Fault({"mode": "190"}, "token", paused=True),
    "190 with status 400": Fault({"mode": "190", "status": 400}, "token", paused=True),
    "hang": Fault({"mode": "timeout"}, "timeout", timeout=1.0, ends="network"),
    "reset": Fault({"mode": "reset"}, "network"),
    "reset after storing": Fault({"mode": "reset", "after": True}, "network"),
    "half a body": Fault({"mode": "half"}, "network"),
    "half a body after storing": Fault({"mode": "half", "after": True}, "network"),
    "slow 30 s, cut off": Fault({"mode": "slow", "delay": 30}, "timeout", timeout=1.0),
}
# Not of the kind that passes by itself: what is counted wrongly is noted, what is never counted is dead in the end.
WRONG = {
    "counter too low": Fault({"mode": "count", "after": True, "received": 1}, ""),
    "counter of zero": Fault({"mode": "count"}, "not_received", buries=True),
    "slow 30 s, waited for": Fault({"mode": "slow", "delay": 30}, ""),
}
