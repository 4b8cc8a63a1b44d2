"""Faults on order: how the simulator misbehaves, for how long, and towards which pixel."""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxy.simulator.graph.answers import Answer, ApiError
from proxy.simulator.graph.rules import Event

Mode = Literal["500", "429", "190", "timeout", "reset", "slow", "poison", "half", "count", "none"]

TICK = 0.05
"""Seconds between two looks at a request that is held up; aiohttp tells no handler that its client has left."""
HTML = b"<!DOCTYPE html><title>Error</title><h1>Sorry, something went wrong.</h1>"


class FaultOrder(BaseModel):
    """The body of `POST /sim/faults`.

    Attributes:
        mode: what goes wrong; None or "none" ends the fault.
        seconds: `for`, how long; None until it is replaced or cleared.
        pixel: only towards this pixel; None towards all.
        after: misbehave only after the events were stored, so that a correct client delivers them twice.
        rate: which share of the requests is hit, evenly spread: 0.5 is every second one.
        status: HTTP status instead of the mode's own (500, 429 and 401; poison 400).
        code: Graph code instead of the mode's own (2, 4 and 190; poison 100).
        subcode: Graph subcode; poison has 2804017, which Meta refuses events with for reasons unknown.
        html: "500" answers with a page instead of JSON, as a load balancer would.
        regain: minutes "429" promises in `estimated_time_to_regain_access`.
        delay: seconds "slow" waits.
        received: how many events "count" says were received, whatever was sent.
        match: "poison" refuses every batch with an event whose id or name contains this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_by_alias=True, validate_by_name=True)

    mode: Mode | None
    seconds: float | None = Field(default=None, gt=0, alias="for")
    pixel: str | None = None
    after: bool = False
    rate: float = Field(default=1, gt=0, le=1)
    status: int | None = Field(default=None, ge=400, le=599)
    code: int | None = None
    subcode: int | None = None
    html: bool = False
    regain: int = Field(default=0, ge=0)
    delay: float = Field(default=3, ge=0)
    received: int = Field(default=0, ge=0)
    match: str = Field(default="poison", min_length=1)


class WrongOrderError(ValueError):
    """An order that cannot be followed; `errors` names each field, its value and what is accepted."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("the fault was not understood")
        self.errors = errors


def read_order(body: bytes) -> FaultOrder:
    """Return the order that a body holds.

    Raises:
        WrongOrderError: With everything that is wrong.
    """
    try:
        return FaultOrder.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise WrongOrderError([{"field": "", "value": str(error), "accepted": "JSON"}]) from error
    except ValidationError as error:
        raise WrongOrderError([_wrong(dict(detail)) for detail in error.errors()]) from error


def _wrong(detail: dict[str, Any]) -> dict[str, Any]:
    value = detail["input"]
    shown = type(value).__name__ if isinstance(value, dict | list) else value
    return {"field": str((*detail["loc"], "")[0]), "value": shown, "accepted": detail["msg"]}


@dataclass(slots=True)
class Fault:
    """A fault in force: its order, when it ends on the monotonic clock, and how many requests met it."""

    order: FaultOrder
    ends: float
    asked: int = 0
    hits: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def count_request(self) -> bool:
        """Count a request, and tell whether it is one of those to hit."""
        self.asked += 1
        hit = int(self.asked * self.order.rate) > int((self.asked - 1) * self.order.rate)
        self.hits += hit
        return hit


class ActiveFaults:
    """The faults in force: at most one per pixel and one for all others.

    Args:
        clock: a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._active: dict[str | None, Fault] = {}

    def apply(self, order: FaultOrder) -> None:
        """Replace the fault of the order's pixel, or end it; an order with neither pixel nor mode ends all."""
        if order.mode in (None, "none") and order.pixel is None:
            self.clear()
            return
        self._end(order.pixel)
        if order.mode not in (None, "none"):
            ends = math.inf if order.seconds is None else self._clock() + order.seconds
            self._active[order.pixel] = Fault(order, ends)

    def clear(self) -> None:
        """End every fault, and let the requests go that it holds up."""
        for pixel in list(self._active):
            self._end(pixel)

    def fault_for(self, pixel: str) -> Fault | None:
        """Return the fault that a request for a pixel meets, if any."""
        fault = self._active.get(pixel) or self._active.get(None)
        return fault if fault and self.seconds_left(fault) > 0 and fault.count_request() else None

    def in_force(self, mode: str) -> bool:
        """Tell whether a fault of a kind is in force for any pixel; nothing is counted as hit."""
        return any(fault.order.mode == mode and self.seconds_left(fault) > 0 for fault in self._active.values())

    def seconds_left(self, fault: Fault) -> float:
        """Return how many seconds a fault still lasts; 0 when it is over."""
        return 0 if fault.over.is_set() else max(0, fault.ends - self._clock())

    async def hold(self, fault: Fault, waiting: Callable[[], bool], seconds: float = math.inf) -> None:
        """Wait until a fault is over, the client has left or a time has passed.

        Args:
            fault: The fault that holds the request up.
            waiting: Tells whether the client is still there.
            seconds: The longest wait.
        """
        until = self._clock() + seconds
        while waiting() and self.seconds_left(fault) > 0 and (rest := until - self._clock()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(TICK, rest)):
                    await fault.over.wait()

    def listed(self) -> list[dict[str, Any]]:
        """Return the faults in force: their orders, seconds left (`left`, null for no end) and `hits` so far."""
        return [self._line(fault) for fault in self._active.values() if self.seconds_left(fault) > 0]

    def _line(self, fault: Fault) -> dict[str, Any]:
        left = self.seconds_left(fault)
        return {
            **fault.order.model_dump(by_alias=True),
            "left": None if math.isinf(left) else left,
            "hits": fault.hits,
        }

    def _end(self, pixel: str | None) -> None:
        fault = self._active.pop(pixel, None)
        if fault is not None:
            fault.over.set()


def poison_refusal(order: FaultOrder, events: list[Event]) -> ApiError | None:
    """Return why a batch with a poisoned event is refused; None for any other batch."""
    if not any(order.match in text for event in events for text in _texts(event)):
        return None
    return ApiError(
        code=100 if order.code is None else order.code,
        subcode=2804017 if order.subcode is None else order.subcode,
        status=order.status or 400,
        user_title="Poisoned Event",
        user_message=f"A fault of this simulator refuses every batch with {order.match!r} in an id or a name.",
    )


def answer(order: FaultOrder, pixel: str, trace: str) -> Answer:
    """Return the answer of the modes "500", "429" and "190".

    Args:
        order: What was ordered.
        pixel: The id that usage headers name.
        trace: Becomes the answer's `fbtrace_id`.
    """
    if order.html and order.mode == "500":
        return Answer(order.status or 500, HTML, content_type="text/html")
    status, code, message, transient = ERRORS[str(order.mode)]
    refusal = ApiError(
        message,
        code=code if order.code is None else order.code,
        subcode=order.subcode,
        status=order.status or status,
        transient=transient,
    )
    return refusal.answer(trace, _usage(pixel, order.regain)) if order.mode == "429" else refusal.answer(trace)


def _texts(event: Event) -> tuple[str, str]:
    return event.get("event_id") or "", event["event_name"]


def _usage(pixel: str, regain: int) -> dict[str, str]:
    used = {"call_count": 100, "total_cputime": 25, "total_time": 25}
    business = [{"type": "ads_management", **used, "estimated_time_to_regain_access": regain}]
    return {
        "X-App-Usage": orjson.dumps(used).decode(),
        "X-Business-Use-Case-Usage": orjson.dumps({pixel: business}).decode(),
    }


ERRORS: Mapping[str, tuple[int, int, str, bool | None]] = {
    "500": (500, 2, "Service temporarily unavailable", True),
    "429": (429, 4, "Application request limit reached", True),
    "190": (401, 190, "Error validating access token: the session is invalid.", None),
}
