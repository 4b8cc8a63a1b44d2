"""Frames and bodies between a front and the back arrive unchanged, and malformed ones are refused."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from clock import NOON
from hypothesis import given
from hypothesis import strategies as st
from sighted import key, left
from support import PIXEL, SECRET, record, server_record

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.event_facts import EventFacts
from proxy.model.join import Join, JoinKind, Twin
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import UNSEALED, Append, Group, make_group
from proxy.queue.remote import wire_answers, wire_group
from proxy.queue.remote.frames import Frame, FrameKind, FrameReader, MalformedFrameError, frame_bytes
from proxy.queue.remote.place import address_of, listening_socket
from proxy.queue.seal import Sealer

SEALER = Sealer(SECRET)
SUSPECT = b"s" * 16
PENDING = (None, Join("shop", (key(JoinKind.ORDER, 7),), "ldu", 7), Twin(b"o" * 16, "drop"))


class Watched:
    """Suppressions that hold one person."""

    version = 3

    def may_hold(self, digest: bytes) -> bool:
        return digest == SUSPECT


RECORDS = st.builds(
    Record,
    pixel=st.sampled_from([PIXEL, "99"]),
    name=st.sampled_from(["PageView", "Purchase", "Ünusual"]),
    id=st.one_of(st.text(max_size=5), st.just("17000000000001234")),
    time_s=st.integers(0, 1 << 40),
    visitor=st.sampled_from([b"", b"abcd"]),
    browser_copy=st.sampled_from([None, *BrowserCopy]),
    bot_reason=st.just(""),
    payload=st.binary(max_size=9),
    findings=st.sampled_from([(), ("value:unusable",)]),
    person_digests=st.lists(st.sampled_from([SUSPECT, b"p" * 16]), max_size=2).map(tuple),
    worth=st.sampled_from([b"", b"1234"]),
    shared=st.sampled_from([b"", b"one", b"two"]),
    action_source=st.sampled_from(["website", "app"]),
    fields=st.builds(RequestFields, upload_tag=st.sampled_from(["", "x"])),
    order=st.sampled_from([b"", b"o" * 16]),
    not_before=st.sampled_from([0, 5]),
    pending=st.sampled_from(PENDING),
    facts=st.builds(EventFacts, st.sampled_from(["", "shop"]), st.integers(0, 99), value=st.none() | st.integers(0, 9)),
    arrived=st.sampled_from([0, NOON]),
)
APPENDS = st.lists(
    st.builds(
        Append,
        st.lists(RECORDS, max_size=4),
        st.integers(0, 9),
        st.lists(st.sampled_from([left("anna"), left("bert", forbidden="gpc")]), max_size=2),
    ),
    max_size=4,
)


def group(*calls: Append) -> Group:
    return make_group(calls, SEALER, Watched())


@given(APPENDS)
def test_a_group_arrives_as_it_was_sent(calls: Sequence[Append]) -> None:
    """Members, keys, positions, sealed segments and sightings are the same after encoding and decoding."""
    sent = group(*calls)
    arrived = wire_group.group_of(wire_group.group_body(sent))

    assert arrived.members == sent.members
    assert [*arrived.segments] == [*sent.segments]
    assert [*arrived.sightings] == [*sent.sightings]
    assert arrived.suppressions_version == sent.suppressions_version
    assert [([*call.records], call.not_before) for call in arrived.calls] == [
        ([*call.records], call.not_before) for call in calls
    ]


def test_what_events_share_travels_once() -> None:
    """A frame has the part that events share once, as the bounds on requests count it once too."""
    shared = b"x" * 10_000
    records = [record(number)._replace(shared=shared) for number in range(100)]

    assert len(wire_group.group_body(group(Append(records)))) < 10 * len(shared)


def test_changed_bodies_are_refused_or_harmless() -> None:
    """A group of which bytes are changed or cut is either still a whole group or raises ``MalformedFrameError``."""
    chance = random.Random(15)  # noqa: S311 - damage, not secrets
    calls = [Append([record(1), server_record(2)], 0, [left("anna")]), Append([record(3)])]
    body = bytearray(wire_group.group_body(group(*calls)))
    refused = 0
    for _ in range(3000):
        damaged = bytearray(body)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        try:
            arrived = wire_group.group_of(bytes(damaged))
        except MalformedFrameError:
            refused += 1
            continue
        assert sum(len(call.records) for call in arrived.calls) == len(arrived.members)
        assert all(len(member.key) == 16 for member in arrived.members)
        assert all(UNSEALED <= member.segment < len(arrived.segments) for member in arrived.members)

    assert refused > 1000


@pytest.mark.parametrize(
    "change",
    [
        {"segment": 1},
        {"segment": UNSEALED},
        {"position": 1},
        {"call": 1},
        {"key": b"short"},
        {"birth_s": 1 << 32},
    ],
)
def test_a_group_whose_parts_have_no_place_is_refused(change: dict[str, object]) -> None:
    """A record of a missing segment, a missing position or an invalid key is refused."""
    made = group(Append([record(1)]))
    wrong = made._replace(members=[made.members[0]._replace(**change)])  # type: ignore[arg-type]

    with pytest.raises(MalformedFrameError):
        wire_group.group_of(wire_group.group_body(wrong))


@pytest.mark.parametrize("outcome", ["plain", "told", "failed"])
def test_an_answer_tells_each_caller_its_own(outcome: str) -> None:
    """Repeats, refusals, conflicts with their findings, and errors arrive as the engine answered them."""
    first, again = record(1), record(1)
    other = record(2)._replace(findings=("value:unusable",))
    doubted = other._replace(findings=(*other.findings, "id:conflict"))
    made = group(Append([first, other, again]), Append([record(3)]))
    answers: dict[str, list[Stored | QueueError]] = {
        "plain": [Stored(), Stored()],
        "told": [
            Stored((first, again), 1, ((record(2)._replace(findings=other.findings), DropReason.ERASED),), (doubted,)),
            Stored(reused=2),
        ],
        "failed": [QueueFullError("the disk is full"), QueueBrokenError("gone")],
    }
    body = wire_answers.outcome_body(made, answers[outcome])
    arrived = wire_answers.outcome_of(body, made.calls)

    assert not isinstance(arrived, QueueError)
    assert [(type(each), str(each)) for each in arrived] == [(type(each), str(each)) for each in answers[outcome]]


def test_an_unforeseen_error_says_only_what_it_is() -> None:
    """The text of an unforeseen error may quote a visitor, so only its type crosses the socket."""
    failure = wire_answers.failure_of(wire_answers.failure_body(KeyError("anna@example.com")))

    assert str(failure) == "KeyError in the queue"


@given(st.lists(st.tuples(st.sampled_from(FrameKind), st.integers(0, 9), st.binary(max_size=20))), st.data())
def test_frames_are_the_same_however_they_are_cut(
    frames: Sequence[tuple[FrameKind, int, bytes]], data: st.DataObject
) -> None:
    """A stream gives the same frames in whatever pieces it arrives."""
    stream = b"".join(frame_bytes(*frame) for frame in frames)
    reader = FrameReader()
    found: list[Frame] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]

    assert [tuple(frame) for frame in found] == list(frames)


@pytest.mark.parametrize("stream", [b"\xff\xff\xff\xff\0\0\0\0\x02", b"\0\0\0\0\0\0\0\0\x63"])
def test_what_is_no_frame_is_refused_before_it_is_collected(stream: bytes) -> None:
    """A length above the limit, or an unknown kind, ends the stream at once."""
    with pytest.raises(MalformedFrameError):
        list(FrameReader().feed(stream))


def test_a_body_that_is_too_long_is_not_sent() -> None:
    """A body that the other end would refuse is not sent."""
    with pytest.raises(ValueError, match="accepted"):
        frame_bytes(FrameKind.NOTE, 0, bytes((96 << 20) + 1))


async def test_the_socket_is_for_its_user_alone_and_as_deep_as_anybody_likes(tmp_path: Path) -> None:
    """Only its owner may open the socket, and it also works in a directory whose path is too long for a socket."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    for path in (tmp_path / "back.sock", deep / "back.sock"):
        address = address_of(path)
        for _ in range(2):  # what an earlier process left there is no obstacle
            listening = listening_socket(address)
            assert path.stat().st_mode & 0o777 == 0o600
            reader, writer = await asyncio.open_unix_connection(address)
            writer.close()
            del reader
            listening.close()
