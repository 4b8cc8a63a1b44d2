"""Unforeseen errors that the event loop reports, and a queue that cannot be written."""

import asyncio
from typing import Any

from prometheus_client import generate_latest

from proxy.queue.contract import QueueFullError
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.readiness import QueueCheck, Readiness


class Loop(asyncio.SelectorEventLoop):
    """An event loop that notes the errors which are passed on to its default handler."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[dict[str, Any]] = []

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.left.append(context)


def test_an_error_of_the_event_loop_is_reported_by_its_place() -> None:
    """A fault is named by its type, without its text; a network error is ignored, a report without error passed on."""
    conditions, metrics, loop = Conditions(lambda: 0), Metrics(), Loop()
    reporter = FaultReporter(conditions, metrics)
    without_error = {"message": "a task was destroyed"}
    for context in ({"exception": ValueError("anna@mail.example")}, {"exception": OSError()}, without_error):
        reporter.handle_loop_error(loop, context)
    loop.close()

    (condition,) = conditions.current()
    assert condition.code == "fault"
    assert condition.subject.startswith("ValueError")
    assert condition.detail == "a task of the proxy ended"
    assert loop.left == [without_error]
    assert b"anna" not in generate_latest(metrics.registry)


class Queue:
    """A queue whose disk is full until the test makes space."""

    full = True

    async def ready(self) -> None:
        if self.full:
            raise QueueFullError("the disk is full")

    async def close(self) -> None:
        """Nothing was opened."""


async def test_a_queue_that_cannot_be_written_fails_readiness_until_it_can() -> None:
    """The condition has the queue's own message, and ends with the first commit."""
    conditions, queue = Conditions(lambda: 0), Queue()
    readiness = Readiness(conditions, [QueueCheck(queue, conditions)])
    failing = await readiness.health()
    queue.full = False
    ready = await readiness.health()

    assert (failing.status, [str(condition) for condition in failing.conditions]) == (
        "failing",
        ["queue: the disk is full"],
    )
    assert (ready.status, ready.conditions) == ("ready", [])
