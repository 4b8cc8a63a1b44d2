"""The plan of a bench that kills processes: which one is killed, and after how many events."""

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

_STEP = 100
"""Two kills are at least this many events apart."""


class Kill(NamedTuple):
    """A kill that is due once ``at`` events were acknowledged."""

    at: int
    whom: Literal["send", "proxy", "both"]


def planned(events: int, of_send: int, of_proxy: int, chance: random.Random) -> list[Kill]:
    """Return the kills at random moments, in their order; none is in the last tenth of the events.

    Args:
        events: How many events the file has.
        of_send: How often ``send`` is killed; with more than one kill, one of them kills the proxy too.
        of_proxy: How often the proxy alone is killed.
        chance: Chooses the moments.
    """
    moments = chance.sample(_moments(events), of_send + of_proxy)
    plan = [Kill(at, "send") for at in moments[:of_send]] + [Kill(at, "proxy") for at in moments[of_send:]]
    if of_send > 1:
        plan[0] = Kill(plan[0].at, "both")
    return sorted(plan)


def most_kills(events: int) -> int:
    """Return how many kills fit into the delivery of so many events."""
    return len(_moments(events))


def _moments(events: int) -> range:
    return range(1, events * 9 // 10, _STEP)


def said(plan: Sequence[Kill]) -> str:
    """Return the plan as text to print."""
    return ", ".join(f"{kill.whom} at {kill.at:,}" for kill in plan) or "none"
