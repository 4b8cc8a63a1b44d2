"""Ways in which Graph can misbehave: the simulator's order for each, and what the proxy reports."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """An order for the simulator, and what the proxy must report meanwhile."""

    order: dict[str, Any]
    says: str
    paused: bool = False
    buries: bool = False
    """Whether events become dead letters."""
    timeout: float = 30.0
    """Seconds for a request; unless it is the fault itself, long enough for a busy machine."""
    ends: str = ""
    """Another error that may be reported when the fault ends, as a hanging request is then ended."""


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
# Faults after which a count is wrong: a count too low is only noted, a count of zero ends in dead letters.
WRONG = {
    "counter too low": Fault({"mode": "count", "after": True, "received": 1}, ""),
    "counter of zero": Fault({"mode": "count"}, "not_received", buries=True),
    "slow 30 s, waited for": Fault({"mode": "slow", "delay": 30}, ""),
}
