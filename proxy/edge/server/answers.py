"""Answers in Graph's shape: one success, and one shape for every error, whichever layer it comes from.

Meta's SDKs tell success from failure in three ways: by an ``error`` object in the body, by the status, or by both. So
an error has a status of 4xx or 5xx, and JSON with the object ``error`` alone, whose codes are whole numbers; a
success has all of ``events_received``, ``messages`` and ``fbtrace_id``. Throttling and downtime are not
of type ``OAuthException``: with that type Meta's PHP SDK reports any code as a failed authorisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.edge.exchange import HttpAnswer
from proxy.model.server_request import RefusedHit
from proxy.rules.payload.labels import public_id

_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_INVALID, _DOWN, _THROTTLED, _NO_KEY, _BAD_KEY = 100, 2, 4, 104, 190
"""Graph's codes (Meta, Graph API, handling errors)."""
_NO_OBJECT = 33
_RETRY_SECONDS = 5
_MOST_NAMED = 100
"""How many refused events an error or a success lists at most; a success also tells their number."""
_TITLES = {
    2804003: "Event Timestamp Too Old",
    2804004: "Event Timestamp In The Future",
    2804009: "Missing Value for Purchase Event",
    2804011: "Invalid Currency For Purchase Event",
    2804050: "Not Enough Customer Information",
    2804066: "Event Name Not Allowed For Business Messaging",
    2804043: "Invalid Extended Device Info",
}
"""Titles by subcode; Graph's own titles are known only for some, so the others are our wording."""
_NO_TRACE = "A" + "0" * 22
"""The ``fbtrace_id`` of an answer to bytes that could not be read as a request."""


@dataclass(frozen=True, slots=True)
class GraphRefusal:
    """An error in Graph's fields (Meta, Graph API, handling errors)."""

    status: int
    message: str
    code: int = _INVALID
    subcode: int = 0
    type: str = "OAuthException"
    is_transient: bool = False
    user_title: str = ""
    user_message: str = ""
    blame: tuple[tuple[str | int, ...], ...] = ()
    """The paths of the bad values in the request: keys and list indexes."""
    retry_seconds: int = 0

    def answer(self, trace: str) -> HttpAnswer:
        """Return the refusal as an HTTP answer, with ``trace`` as its ``fbtrace_id``."""
        more = {"Retry-After": str(self.retry_seconds)} if self.retry_seconds else {}
        return HttpAnswer(self.status, orjson.dumps({"error": self._error(trace)}), _JSON | more)

    def _error(self, trace: str) -> dict[str, Any]:
        optional = {
            "error_subcode": self.subcode,
            "error_user_title": self.user_title,
            "error_user_msg": self.user_message,
            "error_data": {"blame_field_specs": self.blame} if self.blame else None,
        }
        return {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            **{name: value for name, value in optional.items() if value},
            "is_transient": self.is_transient,
            "fbtrace_id": trace,
        }


class RefusedError(Exception):
    """The request is refused; ``refusal`` is the answer."""

    def __init__(self, refusal: GraphRefusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(why: str, status: int = 400) -> GraphRefusal:
    """Return the refusal of an invalid request, which would be refused again."""
    return GraphRefusal(status, f"Invalid parameter: {why}", user_title="Invalid request", user_message=why)


def transient_error(status: int, why: str, *, retry_seconds: int = 0) -> GraphRefusal:
    """Return the refusal of a request that may succeed when it is sent again.

    Args:
        status: The HTTP status.
        why: The reason.
        retry_seconds: After how many seconds to send it again; 0 for no ``Retry-After`` header.
    """
    return GraphRefusal(status, why, _DOWN, type="ApiException", is_transient=True, retry_seconds=retry_seconds)


def throttled(why: str, retry_seconds: int) -> GraphRefusal:
    """Return the refusal of a client that sends too many requests."""
    return GraphRefusal(429, why, _THROTTLED, type="ApiException", is_transient=True, retry_seconds=retry_seconds)


def unavailable(why: str, retry_seconds: int) -> GraphRefusal:
    """Return the refusal of a request for which there is no room now."""
    return transient_error(503, why, retry_seconds=retry_seconds)


def internal_error() -> GraphRefusal:
    """Return the refusal of a request that caused an error of ours, and would cause it again."""
    return GraphRefusal(400, "An unknown error occurred", 1, type="ApiException")


def unreadable_request(status: int, why: str) -> HttpAnswer:
    """Return the refusal of bytes that are no readable request: in Graph's shape, which no other client reads worse."""
    may_come_again = status == 408 or status >= 500
    answer = (transient_error(status, why) if may_come_again else invalid(why, status)).answer(_NO_TRACE)
    answer.headers = {"Content-Type": "application/json"}
    return answer


NO_KEY = GraphRefusal(400, "An access token is required to request this resource.", _NO_KEY)
NOT_STORED = unavailable("Service temporarily unavailable: not all was stored; send it again", _RETRY_SECONDS)
WRONG_KEY = GraphRefusal(401, "Invalid OAuth access token - Cannot parse access token", _BAD_KEY)


def unsupported(method: str, name: str, status: int = 400) -> GraphRefusal:
    """Return the refusal of an unknown address, or of one that the key may not write to; like Graph, it hides which.

    Args:
        method: The method of the request.
        name: The object that the address names.
        status: The HTTP status.
    """
    message = (
        f"Unsupported {method.lower()[:20]} request. Object with ID '{name[:100]}' does not exist, cannot be loaded "
        "due to missing permissions, or does not support this operation"
    )
    return GraphRefusal(status, message, subcode=_NO_OBJECT, type="GraphMethodException")


def refused_events(refused: Sequence[RefusedHit]) -> GraphRefusal:
    """Return the refusal of a whole request because of its bad events; it describes the first of them."""
    first = refused[0]
    return GraphRefusal(
        400,
        "Invalid parameter",
        first.code,
        first.subcode,
        user_title=_TITLES.get(first.subcode, "Invalid event"),
        user_message=f"data[{first.place}]: {first.why}",
        blame=tuple(_place(hit) for hit in refused[:_MOST_NAMED]),
    )


def graph_success(events: int, trace: str) -> HttpAnswer:
    """Return the success of a request in Graph's format."""
    return HttpAnswer(200, orjson.dumps(_received(events, trace)), dict(_JSON))


def gateway_success(events: int, refused: Sequence[RefusedHit], trace: str) -> HttpAnswer:
    """Return the success of a request in the Gateway's format; Meta's client classes for it accept only 202.

    Args:
        events: How many events were taken.
        refused: The events that were not taken.
        trace: The ``fbtrace_id``.
    """
    named = [_named(hit) for hit in refused[:_MOST_NAMED]]
    more = {"refused": named, "refused_in_all": len(refused)} if named else {}
    return HttpAnswer(202, orjson.dumps(_received(events, trace) | more), dict(_JSON))


def _received(events: int, trace: str) -> dict[str, Any]:
    return {"events_received": events, "messages": [], "fbtrace_id": trace}


def _place(hit: RefusedHit) -> tuple[str | int, ...]:
    return ("data", hit.place, *filter(None, hit.field.split(".")))


def _named(hit: RefusedHit) -> dict[str, Any]:
    subcode = {"subcode": hit.subcode} if hit.subcode else {}
    return {"index": hit.place, "id": public_id(hit.id), "why": hit.why, "code": hit.code, **subcode}
