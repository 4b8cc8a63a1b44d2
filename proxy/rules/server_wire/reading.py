"""Claim of a server's request → its events, one after another: each in one shape, or why it is refused."""

from proxy.model.server_request import RefusedHit, ServerHit
from proxy.rules import server_limits
from proxy.rules.effort import Parts
from proxy.rules.faults import fault
from proxy.rules.server_wire.claim import ServerClaim
from proxy.rules.server_wire.elements import Element, elements_parts
from proxy.rules.server_wire.hit import hit_of


class MalformedRequestError(ValueError):
    """No event of the request can be judged; the text says which member, what it was and what is accepted."""


def elements_of(claim: ServerClaim) -> Parts[list[Element]]:
    """Split the events of a request, in parts, without reading them.

    Raises:
        MalformedRequestError: when they cannot be split, or are too many or none.
    """
    if claim.problem:
        raise MalformedRequestError(claim.problem)
    try:
        elements = yield from elements_parts(claim.data)
    except ValueError as error:
        raise MalformedRequestError(str(error)) from error
    count = claim.number + len(elements)
    if not 1 <= count <= server_limits.EVENTS:
        raise MalformedRequestError(f"data: {count} events; accepted: 1 to {server_limits.EVENTS}")
    return [*claim.elements, *elements]


def read(place: int, element: Element, faults: list[str]) -> ServerHit | RefusedHit:
    """Return an event in one shape, or why Graph would not take it; nothing raises.

    Args:
        place: Its index among the events of the request.
        element: The event.
        faults: Where an error of ours is noted.
    """
    try:
        return hit_of(place, element)
    except Exception as error:  # noqa: BLE001 - whatever one event brought must not cost its neighbours
        faults.append(fault(error))
        return RefusedHit(place, "", "cannot be read")
