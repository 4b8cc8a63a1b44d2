"""Random appends to both engines, in parallel, get the same answers and lead to the same claims."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clock import NOON, Clock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_server import Cluster
from queues import open_queue, open_shared
from support import record, server_record

from proxy.model.join import Twin
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.queue.contract import Stored, WholeQueue

pytestmark = pytest.mark.long

VISITORS = [b"anna", b"bert", b""]
IDS = ["id-1", "id-2", f"{NOON}7"]
WORTHS = [b"", b"\x80\x00\x00\x01", b"\x00\x00\x00\x02"]
PIXELS = itertools.count(1)


class Event(NamedTuple):
    """The properties of an event that matter for an append."""

    identity: str
    visitor: bytes
    worth: bytes
    is_of_server: bool
    order: str
    waits: bool

    def made(self, pixel: str) -> Record:
        """Return the event as a record of a pixel."""
        base = server_record() if self.is_of_server else record(visitor=self.visitor)
        order = order_key("shop", "Purchase", self.order) if self.order else b""
        pending = Twin(order) if self.waits and order and not self.is_of_server else None
        facts = {"pixel": pixel, "name": "Purchase", "id": self.identity, "worth": self.worth}
        return base._replace(order=order, pending=pending, **facts)  # type: ignore[arg-type]


EVENTS = st.builds(
    Event,
    st.sampled_from(IDS),
    st.sampled_from(VISITORS),
    st.sampled_from(WORTHS),
    st.booleans(),
    st.sampled_from(["", "", "1001", "1002"]),
    st.booleans(),
)
APPENDS = st.lists(EVENTS, min_size=1, max_size=3)
GROUPS = st.lists(st.lists(APPENDS, min_size=1, max_size=3), min_size=1, max_size=4)


async def told(queue: WholeQueue, pixel: str, groups: Sequence[Sequence[Sequence[Event]]]) -> tuple[Any, ...]:
    """Store groups; return the callers' answers, and the records that are then claimed."""
    answers: list[Stored] = []
    for group in groups:
        appends = [queue.append([event.made(pixel) for event in events]) for events in group]
        answers += await asyncio.gather(*appends)
    segments = await queue.claim(pixel, most=1000)
    await queue.release(segments)
    return answers, sorted((each for segment in segments for each in segment.records), key=repr)


@pytest.fixture(name="both")
async def _both(tmp_path: Path, postgres: Cluster, schema: str, clock: Clock) -> AsyncIterator[Sequence[WholeQueue]]:
    queues: list[WholeQueue] = [open_queue(tmp_path, clock), await open_shared(postgres, schema, clock)]
    yield queues
    for queue in queues:
        await queue.close()


@given(groups=GROUPS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_both_engines_answer_alike(
    both: Sequence[WholeQueue], groups: Sequence[Sequence[Sequence[Event]]]
) -> None:
    """Repeats, reused ids, conflicts and replacements are answered alike, and the same records are claimed."""
    pixel = str(next(PIXELS))
    in_file, shared = [await told(queue, pixel, groups) for queue in both]

    assert in_file == shared
