"""When a bench kills whom."""

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

_STEP = 100
"""Events; two kills are at least so far apart."""


class Kill(NamedTuple):
    """What happens when so many events were acknowledged."""

    at: int
    whom: Literal["send", "proxy", "both"]


def planned(events: int, of_send: int, of_proxy: int, chance: random.Random) -> list[Kill]:
    """Return at which moments of the progress whom to kill, in their order; the last tenth is left undisturbed.

    Args:
        events: In the file.
        of_send: How often ``send`` is killed; once of several times the proxy with it, in the midst of a request.
        of_proxy: How often the proxy alone is.
        chance: Chooses.
    """
    moments = chance.sample(range(1, events * 9 // 10, _STEP), of_send + of_proxy)
    plan = [Kill(at, "send") for at in moments[:of_send]] + [Kill(at, "proxy") for at in moments[of_send:]]
    if of_send > 1:
        plan[0] = Kill(plan[0].at, "both")
    return sorted(plan)


def said(plan: Sequence[Kill]) -> str:
    """Return the plan in words."""
    return ", ".join(f"{kill.whom} at {kill.at:,}" for kill in plan) or "none"
