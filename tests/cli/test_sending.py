"""The sender of ``send``: what each answer of the proxy means for the lines of a file."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gateway import KEY, Gateway
from hypothesis import given
from hypothesis import strategies as st
from servers import served

from proxy.backfill.batches import MOST_EVENTS, EventBatch, FilePosition, batches, remaining
from proxy.backfill.claims import NotSent
from proxy.backfill.judge import Ready
from proxy.backfill.progress import Progress
from proxy.cli.sending import Outcome, Sender, StoppedError
from proxy.model.server_request import NO_FIELDS, RequestFields


class Waits:
    """A clock on which only sleeping takes time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)

    def __call__(self) -> float:
        """The time in seconds."""
        return sum(self.slept)


class Desk:
    """A sender and the door to which it sends."""

    def __init__(self, gateway: Gateway, sender: Sender, waits: Waits) -> None:
        self.gateway = gateway
        self.send = sender.send
        self.waits = waits


@pytest.fixture(name="desk")
async def _desk() -> AsyncIterator[Desk]:
    gateway, waits = Gateway(), Waits()
    async with served(gateway.app()) as url, aiohttp.ClientSession() as session:
        door = f"{url}/capi/1/events"
        yield Desk(gateway, Sender(session, door, KEY, sleep=waits.sleep, clock=waits), waits)


def _batch(*ids: str) -> EventBatch:
    events = tuple(b'{"event_id":"%s"}' % name.encode() for name in ids)
    return EventBatch(tuple(range(10, 10 + len(ids))), events, NO_FIELDS, FilePosition())


def _json(status: int, **body: Any) -> web.Response:
    return web.json_response(body, status=status)


async def test_it_waits_while_the_proxy_is_busy(desk: Desk) -> None:
    """An answer that asks for a later try, and its Retry-After, are obeyed until the events are accepted."""
    desk.gateway.troubles = [
        web.Response(status=503, headers={"Retry-After": "7"}),
        web.Response(status=429),
        web.Response(status=502, headers={"Retry-After": "soon"}),
    ]

    assert await desk.send(_batch("a", "b")) == Outcome(2)
    assert desk.waits.slept == [7, 1, 2]


async def test_it_gives_up_in_the_end() -> None:
    """A proxy that cannot be reached is waited for, which is said once; when the patience is over, it is named."""
    waits, told = Waits(), list[str]()
    async with aiohttp.ClientSession() as session:
        url = "http://127.0.0.1:9/capi/1/events"
        sender = Sender(session, url, KEY, sleep=waits.sleep, clock=waits)
        with pytest.raises(StoppedError, match="cannot be reached"):
            await sender.send(_batch("a"), told.append)

    assert 300 < waits() < 400
    assert [url in text and "cannot be reached" in text for text in told] == [True]


async def test_a_batch_that_is_too_large_is_halved(desk: Desk) -> None:
    """Events that are too large together are sent in parts; an event that is too large alone ends the run."""
    desk.gateway.most_bytes = 60

    assert await desk.send(_batch("a", "b", "c", "d", "e")) == Outcome(5)
    assert max(desk.gateway.sizes) < 5
    with pytest.raises(StoppedError, match="too large"):
        await desk.send(_batch("x" * 60))


async def test_refused_events_are_named_by_their_lines(desk: Desk) -> None:
    """If some events are refused, they are named with their lines; if all are, the first one is."""
    desk.gateway.refuse = lambda event: f"no {event['event_id']}" if event["event_id"] != "b" else ""

    assert await desk.send(_batch("a", "b", "c")) == Outcome(1, ((10, "no a"), (12, "no c")))
    assert await desk.send(_batch("a", "c")) == Outcome(0, ((10, "data[0]: all wrong"),), 1)


async def test_more_refused_than_are_named(desk: Desk) -> None:
    """Refused events beyond those that the answer names are counted."""
    desk.gateway.refuse = lambda event: "no" if event["event_id"] != "e-0" else ""

    outcome = await desk.send(_batch(*(f"e-{number}" for number in range(150))))

    assert (outcome.sent, len(outcome.refused), outcome.unnamed) == (1, 100, 49)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=200, text="<html>"),
        web.Response(status=204),
        web.Response(status=301, headers={"Location": "/"}),
        _json(200, events_received="2"),
        _json(404, error="nothing here"),
        _json(403, error={"message": "no"}),
        _json(400, error={"message": "(#100) The body cannot be read", "code": 100}),
        _json(400, error={"message": "x", "error_data": {"blame_field_specs": [["user"]]}}),
        _json(400, error={"message": "x", "error_data": {"blame_field_specs": {"data": 0}}}),
        _json(400, error={"message": "x", "error_data": {"blame_field_specs": [7]}}),
        _json(202, events_received=-1, refused="x"),
        _json(202, events_received=0, refused=[{"index": 9}]),
        _json(202, events_received=2),
    ],
    ids=range(13),
)
async def test_an_answer_of_something_else_ends_the_run(desk: Desk, answer: web.Response) -> None:
    """After an answer that is not the proxy's nothing more is sent, and nothing is lost."""
    desk.gateway.troubles = [answer]

    with pytest.raises(StoppedError):
        await desk.send(_batch("a"))


# -- batches

KINDS = st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.sampled_from(["", "T"])), max_size=40)


def _items(kinds: list[tuple[int, bool, str]]) -> list[Ready | NotSent]:
    """Return the results of lines: how many each has, whether they are sent, and their test code."""
    items: list[Ready | NotSent] = []
    for line, (count, is_sent, code) in enumerate(kinds, 1):
        for _ in range(count):
            ready = Ready(line, 10 * line, {"event_id": f"{len(items)}"}, 0, "", RequestFields(code))
            items.append(ready if is_sent else NotSent(line, 10 * line, "why"))
    return items


@given(KINDS, st.lists(st.integers(0, 9), max_size=30))
def test_whatever_interrupts_each_event_is_sent_once(kinds: list[tuple[int, bool, str]], stops: list[int]) -> None:
    """A run that continues from the progress after any batch sends exactly the rest."""
    items, progress, sent = _items(kinds), Progress.start(""), list[bytes]()
    for stop in [*stops, MOST_EVENTS]:
        for at, batch in enumerate(batches(remaining(items, progress), NO_FIELDS)):
            if at > stop:
                break
            sent += batch.events
            progress = Progress(1, "", batch.place.end, "", batch.place.beyond)

    assert sent == [b'{"event_id":"%d"}' % at for at, item in enumerate(items) if isinstance(item, Ready)]


def test_batches_are_bounded() -> None:
    """A batch has at most 1,000 events and about 4 MiB."""
    many = [Ready(1, 1, {"x": 1}, 0, "", NO_FIELDS)] * 2500
    large = [Ready(1, 1, {"x": "y" * (1 << 20)}, 0, "", NO_FIELDS)] * 9

    def sizes(items: list[Ready]) -> list[int]:
        return [len(batch.events) for batch in batches(((item, FilePosition()) for item in items), NO_FIELDS)]

    assert (sizes(many), sizes(large)) == ([1000, 1000, 500], [3, 3, 3])
