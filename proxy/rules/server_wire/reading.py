"""Claim of a server's request → ``ServerRequest``: its events in one shape, read a few at a time."""

from proxy.model.server_request import RefusedHit, ServerHit, ServerRequest
from proxy.rules import server_limits
from proxy.rules.effort import Parts
from proxy.rules.server_wire.claim import ServerClaim
from proxy.rules.server_wire.elements import Element, elements_parts
from proxy.rules.server_wire.hit import hit_of

# What nested fields hold was read before.
_READ_ALREADY = 1000


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
        is_all_or_nothing: One bad event refuses all, so what stands behind the first is not read.

    Raises:
        MalformedRequestError: when no event can be judged.
    """
    elements = yield from _elements(claim)
    hits: list[ServerHit] = []
    refused: list[RefusedHit] = []
    read = 0
    for place, element in enumerate(elements):
        if read > server_limits.PART:
            read = 0
            yield
        read += len(element) if isinstance(element, bytes) else _READ_ALREADY
        hit = hit_of(place, element)
        if isinstance(hit, ServerHit):
            hits.append(hit)
            continue
        refused.append(hit)
        if is_all_or_nothing:
            break
    return ServerRequest(now, entropy, pixel, tuple(hits), tuple(refused), claim.fields, is_all_or_nothing)


def _elements(claim: ServerClaim) -> Parts[list[Element]]:
    if claim.problem:
        raise MalformedRequestError(claim.problem)
    try:
        elements = yield from elements_parts(claim.data)
    except ValueError as error:
        raise MalformedRequestError(str(error)) from error
    if not 1 <= len(elements) <= server_limits.EVENTS:
        raise MalformedRequestError(f"data: {len(elements)} events; accepted: 1 to {server_limits.EVENTS}")
    return elements
