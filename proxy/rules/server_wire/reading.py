"""Claim of a server's request → ``ServerRequest``: its events in one shape, read a few at a time."""

from proxy.model.server_request import ServerRequest
from proxy.rules.effort import Parts
from proxy.rules.server_wire.claim import ServerClaim


class MalformedRequestError(ValueError):
    """No event of the request can be judged; the text says which member, what it was and what is accepted."""


def request_parts(
    claim: ServerClaim, *, pixel: str, now: int, entropy: int, is_all_or_nothing: bool
) -> Parts[ServerRequest]:
    """Read the events of a request, in parts.

    Args:
        claim: What the first look found.
        pixel: The pixel that the address names.
        now: Server clock in milliseconds.
        entropy: 128 random bits.
        is_all_or_nothing: One bad event refuses all.

    Raises:
        MalformedRequestError: when no event can be judged.
    """
    raise NotImplementedError(claim, pixel, now, entropy, is_all_or_nothing)
    yield
