"""Faults of the back, or a client that lies to it, cause no false answer and lose no acknowledged event."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from clock import NOON, Clock
from fronted import TOKEN, Fronted, fronted, noticed_away, started
from support import PIXEL, record, until

from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueError, QueueFullError, Stored, WholeQueue
from proxy.queue.group import Append, Group
from proxy.queue.remote import link as link_module
from proxy.queue.remote import messages
from proxy.queue.remote.frames import FrameKind, frame_bytes
from proxy.queue.remote.link import AWAY
from proxy.queue.remote.messages import Hello
from proxy.queue.remote.taker import GroupTaker
from proxy.queue.remote.wire_group import group_body

OPT_OUT = SuppressionKind.OPT_OUT
ANNA, BERT = b"a" * 16, b"b" * 16


@pytest.fixture(name="behind")
async def _behind(tmp_path: Path, clock: Clock) -> AsyncIterator[Fronted]:
    async with fronted(tmp_path / "data", clock) as behind:
        yield behind


def about(number: int, *person_digests: bytes) -> Record:
    return record(number, time_s=NOON // 1000)._replace(person_digests=person_digests)


async def claimed(queue: WholeQueue) -> list[Record]:
    return [found for segment in await queue.claim(PIXEL, most=1000) for found in segment.records]


def _append(*records: Record) -> Append:
    return Append(records)


async def test_a_dead_back_is_told_at_once_and_found_again(behind: Fronted) -> None:
    """Without a back every call fails, and health reports it; with the next back all calls work."""
    link = behind.link()
    async with started(behind.front(link), link) as front:
        await front.append([record(1)])
        await behind.end()
        await noticed_away(link)
        assert front.refusal_reason() == AWAY
        for asked in (
            front.append([record(2)]),
            front.suppress([ANNA], OPT_OUT, NOON),
            front.known_server_orders(PIXEL, [b"o" * 16]),
        ):
            with pytest.raises(QueueError, match="does not answer"):
                await asked
        await behind.begin()
        await asyncio.wait_for(link.here.wait(), 60)
        assert front.refusal_reason() == ""
        assert await front.append([record(1), record(3)]) == Stored(duplicates=(record(1),))

    assert [each.id for each in await claimed(behind.engine)] == ["id-1", "id-3"]


class _Held:
    """An engine that keeps groups back until they are let go."""

    def __init__(self, engine: GroupTaker) -> None:
        self.take = engine.take
        self.groups: list[tuple[Group, Any]] = []

    def hold(self, group: Group, tell: Any) -> None:
        self.groups.append((group, tell))

    def let_go(self) -> None:
        for group, tell in self.groups:
            self.take(group, tell)


async def test_what_a_dying_back_was_asked_is_not_acknowledged(
    behind: Fronted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that waits when the back dies gets an error, though its event may be stored; its retry is a repeat."""
    held = _Held(behind.engine)
    monkeypatch.setattr(behind.engine, "take", held.hold)
    link = behind.link()
    async with started(behind.front(link), link) as front:
        waiting = asyncio.create_task(front.append([record(1)]))
        await until(lambda: held.groups, what="the group")
        await behind.end()
        with pytest.raises(QueueError, match="may have been done"):
            await waiting
        held.let_go()
        monkeypatch.undo()
        await behind.begin()
        await asyncio.wait_for(link.here.wait(), 60)
        assert await front.append([record(1)]) == Stored(duplicates=(record(1),))


async def test_a_silent_back_counts_as_away(behind: Fronted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A back that is connected but silent, like a stopped process, counts as away, and its callers get an error."""
    monkeypatch.setattr(link_module, "_TICK_S", 0.01)
    await behind.end()
    silent = await asyncio.start_unix_server(_read_and_say_one_state, behind.address)
    link = behind.link()
    async with started(behind.front(link), link) as front:
        waiting = asyncio.create_task(front.append([record(1)]))
        with pytest.raises(QueueError, match="may have been done"):
            await waiting
    silent.close()


async def _read_and_say_one_state(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(frame_bytes(FrameKind.STATE, 0, messages.encode((0, 0.0, "", ""))))
    while await reader.read(65536):
        pass
    writer.close()


HELLO = frame_bytes(FrameKind.HELLO, 0, messages.encode(Hello(TOKEN, 7)))


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        frame_bytes(FrameKind.HELLO, 0, messages.encode(Hello(b"x" * 16, 7))),
        frame_bytes(FrameKind.HELLO, 0, messages.encode(Hello(TOKEN, 0))),
        frame_bytes(FrameKind.HELLO, 0, b"\xc1"),
        frame_bytes(FrameKind.APPEND, 1, b""),
        HELLO + frame_bytes(FrameKind.APPEND, 1, b"\x90"),
        HELLO + frame_bytes(FrameKind.NOTE, 0, b"\x91\x01"),
        HELLO + frame_bytes(FrameKind.REPORT, 1, b"\x01"),
        HELLO + frame_bytes(FrameKind.SUPPRESS, 1, messages.encode(([b"short"], "opted_out", 1))),
        HELLO + frame_bytes(FrameKind.STATE, 1, b""),
        HELLO + struct.pack(">IIB", (96 << 20) + 1, 1, FrameKind.APPEND),
        HELLO + struct.pack(">IIB", 5, 1, 99) + b"12345",
    ],
)
async def test_what_no_front_says_ends_its_own_connection_alone(said: bytes, behind: Fronted) -> None:
    """A connection that sends forged frames is closed and stores nothing; other fronts are not affected."""
    link = behind.link()
    async with started(behind.front(link), link) as front:
        reader, writer = await asyncio.open_unix_connection(behind.address)
        writer.write(said)
        while await asyncio.wait_for(reader.read(65536), 60):
            pass
        writer.close()
        await front.append([record(1)])
        assert behind.watch.fronts == [1]

    assert behind.watch.faults == []
    assert [each.id for each in await claimed(behind.engine)] == ["id-1"]


async def test_a_frame_that_is_cut_off_stores_nothing(behind: Fronted) -> None:
    """Of a frame that a killed front did not finish nothing is stored, and the front is forgotten."""
    link = behind.link()
    async with started(behind.front(link), link) as front:
        body = group_body(front._grouper._make([_append(record(9))]))
        _, writer = await asyncio.open_unix_connection(behind.address)
        writer.write(HELLO + frame_bytes(FrameKind.APPEND, 1, body)[:-1])
        await writer.drain()
        await until(lambda: 7 in behind.watch.fronts, what="the front")
        writer.close()
        await until(lambda: 7 not in behind.watch.fronts, what="its end")

    assert await claimed(behind.engine) == []


async def test_an_engine_that_is_full_is_told_before_anything_is_sent(
    behind: Fronted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front knows how full the engine is and why it refuses, and refuses appends with the same kind of error."""
    monkeypatch.setattr(behind.engine, "full_reason", lambda: "1000 events wait already")
    monkeypatch.setattr(behind.engine, "refusal_reason", lambda: "the disk is slow")
    monkeypatch.setattr(behind.engine, "fullness", lambda: 0.75)
    link = behind.link()
    async with started(behind.front(link), link) as front:
        assert (front.fullness(), front.refusal_reason()) == (0.75, "the disk is slow")
        with pytest.raises(QueueFullError, match="1000 events"):
            await front.append([record(1)])


async def test_an_engine_that_refuses_a_group_refuses_its_callers(
    behind: Fronted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's error reaches the front's callers."""

    def refuse(_group: Group, _tell: Any) -> None:
        raise QueueFullError("the disk is full")

    monkeypatch.setattr(behind.engine, "take", refuse)
    link = behind.link()
    async with started(behind.front(link), link) as front:
        with pytest.raises(QueueFullError, match="the disk is full"):
            await front.append([record(1)])


async def test_an_answer_that_cannot_be_told_costs_nobody_else(
    behind: Fronted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine's answer about a record that nobody sent fails that front's call, and the next call works."""
    take = behind.engine.take

    def odd(group: Group, tell: Any) -> None:
        take(group, lambda _outcome: tell([Stored(duplicates=(record(99),))]))

    monkeypatch.setattr(behind.engine, "take", odd)
    link = behind.link()
    async with started(behind.front(link), link) as front:
        with pytest.raises(QueueError):
            await front.append([record(1)])
        monkeypatch.undo()
        assert await front.append([record(1)]) == Stored(duplicates=(record(1),))
    assert len(behind.watch.faults) == 1
