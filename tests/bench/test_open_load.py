"""The open load of bench/ingest.py: which delays count as a server's latency."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from open_load import Load, Outcome, dues

_GOOD = b"HTTP/1.1 204 No Content\r\n\r\n"


@asynccontextmanager
async def _server(answer: Callable[[], bytes]) -> AsyncIterator[int]:
    """Serve requests; each request is the byte "r"."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            writer.write(answer())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _requests() -> Iterator[bytes]:
    return itertools.repeat(b"r")


def _clock(step: float) -> Callable[[], float]:
    """Return a clock that advances by ``step`` seconds whenever it is read."""
    return itertools.count(0.0, step).__next__


async def _loaded(port: int, moments: list[float], *, connections: int, step: float) -> Outcome:
    def run() -> Outcome:
        load = Load(port, connections, _clock(step))
        try:
            return load.run(iter(moments), _requests())
        finally:
            load.close()

    return await asyncio.to_thread(run)


async def test_whoever_waits_for_a_connection_is_charged_to_the_server() -> None:
    """Of three requests due at once on one connection, the wait of the later ones counts as their latency."""
    async with _server(lambda: _GOOD) as port:
        outcome = await _loaded(port, [0.0, 0.0, 0.0], connections=1, step=0.001)

    first, second, _ = outcome.latencies_ms
    assert sorted(outcome.latencies_ms) == outcome.latencies_ms
    assert outcome.late_ms[1] > first
    assert outcome.late_ms[2] > second


async def test_requests_without_an_answer_count_with_the_time_that_was_waited() -> None:
    """If a server never answers, its latencies are the longest, and not missing."""
    async with _server(lambda: b"") as port:
        outcome = await _loaded(port, [0.0, 0.0], connections=1, step=1.0)

    assert outcome.unanswered == len(outcome.latencies_ms) == 2
    assert min(outcome.latencies_ms) > 10_000


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n{}"])
async def test_an_answer_that_does_not_acknowledge_ends_the_run(answer: bytes) -> None:
    """An answer that is not 204 ends the run, since a quick refusal must not count as a good latency."""
    async with _server(lambda: answer) as port:
        with pytest.raises(RuntimeError, match="not acknowledged"):
            await _loaded(port, [0.0], connections=1, step=0.001)


def test_as_many_are_due_as_the_rate_says() -> None:
    """The gaps differ, and on average give the rate."""
    moments = list(dues(1000, 10, random.Random(1)))  # noqa: S311 - gaps, not secrets
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]

    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert sum(gap < 0.000_1 for gap in gaps) == pytest.approx(950, rel=0.2)
    assert sum(gap > 0.003 for gap in gaps) == pytest.approx(500, rel=0.2)
