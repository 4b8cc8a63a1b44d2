"""File descriptors: how many connections this process can hold and still reach Graph, its disk and its operator."""

import resource
from pathlib import Path

from proxy.config.schema import LimitSettings
from proxy.model import condition_details as details
from proxy.telemetry.conditions import Conditions

_RESERVE = 256
"""Descriptors for Graph, the operator and the queue's files."""
_RESERVE_SHARE = 0.5
"""The largest share of the free descriptors that the reserve takes, when few are free."""


def affordable_limits(limits: LimitSettings, conditions: Conditions) -> LimitSettings:
    """Return the limits with no more connections than this process can hold; see ``raise_descriptor_limit``."""
    return limits.model_copy(update={"connections": raise_descriptor_limit(limits.connections, conditions)})


def raise_descriptor_limit(wanted: int, conditions: Conditions) -> int:
    """Raise the soft limit as far as needed and allowed; return how many of the wanted connections it allows.

    Reports a condition, which lasts as long as the process, when these are fewer than wanted.
    """
    used = _in_use()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = used + wanted + _RESERVE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    free = max(soft - used, 0)
    most = max(free - min(_RESERVE, int(free * _RESERVE_SHARE)), 1)
    conditions.report("descriptors", "limit", details.few_descriptors(soft, most, wanted))
    return most


def _in_use() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())
