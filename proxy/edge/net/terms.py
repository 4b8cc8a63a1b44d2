"""What a listener serves its clients by."""

from dataclasses import dataclass, field

from proxy.config.schema import LimitSettings
from proxy.rules.request.client_address import Networks
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

_FEW_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener serves its clients by: limits, trust, and where it reports."""

    name: str
    limits: LimitSettings
    conditions: Conditions
    metrics: Metrics
    trusted: Networks = field(default_factory=Networks)
    proxy_protocol: bool = False
    """Trusted peers speak the PROXY protocol first."""


def few_connections(limits: LimitSettings) -> LimitSettings:
    """Return the limits of a listener that only a few clients use, any of whom may take all its connections."""
    few = {"connections": _FEW_CONNECTIONS, "connections_per_address": _FEW_CONNECTIONS + 1}
    return limits.model_copy(update=few)
