"""What happens to a server's request, step by step: ``ServerRequest`` → ``ServerDecision``."""

from proxy.model.decision import ServerDecision
from proxy.model.server_request import ServerRequest
from proxy.rules.effort import Parts
from proxy.rules.policy import Policy
from proxy.rules.server_wire.claim import ServerClaim


def ingest_claim(  # noqa: PLR0913 - what a door knows
    claim: ServerClaim, policy: Policy, *, pixel: str, now: int, entropy: int, is_all_or_nothing: bool
) -> Parts[ServerDecision]:
    """Judge what a request claims, in parts; nothing raises.

    Args:
        claim: What the first look found; its keys were found good.
        policy: What the configuration says of the site.
        pixel: The pixel that the address names; the site lists it.
        now: Server clock in milliseconds.
        entropy: 128 random bits.
        is_all_or_nothing: The first bad event refuses all, as with Graph.
    """
    raise NotImplementedError(claim, policy, pixel, now, entropy, is_all_or_nothing)
    yield


def ingest_server(request: ServerRequest, policy: Policy) -> Parts[ServerDecision]:
    """Judge a request whose events are read already, such as those of a webhook, in parts; nothing raises."""
    raise NotImplementedError(request, policy)
    yield
