"""What became of a group, or why nothing of it was stored, as the body of a frame."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from proxy.model.event import DropReason
from proxy.model.record import Record
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import Append, Group
from proxy.queue.grouper import Outcome
from proxy.queue.remote.frames import MalformedFrameError

_Texts: TypeAlias = tuple[str, ...]
_encode = msgspec.msgpack.Encoder().encode


class _ToldRecord(NamedTuple):
    """A record in an answer, named by its number among the records of its append."""

    number: int
    findings: _Texts


class _WireAnswer(NamedTuple):
    """What became of an append; ``failure`` is empty where it was stored."""

    duplicates: tuple[_ToldRecord, ...] = ()
    reused: int = 0
    refused: tuple[tuple[_ToldRecord, DropReason], ...] = ()
    conflicts: tuple[_ToldRecord, ...] = ()
    failure: str = ""
    text: str = ""


_PLAIN = Stored()
_FAILURES: dict[str, type[QueueError]] = {
    each.__name__: each for each in (QueueError, QueueFullError, QueueBrokenError)
}
_decode_answers = msgspec.msgpack.Decoder(list[_WireAnswer | None]).decode
_decode_failure = msgspec.msgpack.Decoder(tuple[str, str]).decode


def failure_body(error: Exception) -> bytes:
    """Return why something was not done as the body of a frame; of an unexpected error only the type is sent."""
    return _encode(_failure(error))


def failure_of(body: bytes) -> QueueError:
    """Return the error that a body holds.

    Raises:
        MalformedFrameError: when it holds none.
    """
    try:
        return _error(*_decode_failure(body))
    except (msgspec.MsgspecError, ValueError):
        raise MalformedFrameError("no failure") from None


def outcome_body(group: Group, outcome: Sequence[Stored | QueueError]) -> bytes:
    """Return what became of a group as the body of a frame."""
    return _encode(
        [
            None if _is_plain(answer) else _wire_answer(call.records, answer)
            for call, answer in zip(group.calls, outcome, strict=True)
        ]
    )


def _is_plain(answer: Stored | QueueError) -> bool:
    """Tell whether an append brought nothing but new events, as nearly all do."""
    if isinstance(answer, QueueError):
        return False
    return not (answer.duplicates or answer.reused or answer.refused or answer.conflicts)


def outcome_of(body: bytes, calls: Sequence[Append]) -> Outcome:
    """Return what became of each of these appends.

    Raises:
        MalformedFrameError: when the body does not say it.
    """
    try:
        return [
            _PLAIN if answer is None else _answer(call.records, answer)
            for call, answer in zip(calls, _decode_answers(body), strict=True)
        ]
    except (msgspec.MsgspecError, LookupError, ValueError):
        raise MalformedFrameError("no answer to a group") from None


def _wire_answer(records: Sequence[Record], answer: Stored | QueueError) -> _WireAnswer:
    if isinstance(answer, QueueError):
        failure, text = _failure(answer)
        return _WireAnswer(failure=failure, text=text)
    refused = _numbered(records, [record for record, _ in answer.refused])
    return _WireAnswer(
        tuple(_numbered(records, answer.duplicates)),
        answer.reused,
        tuple((told, why) for told, (_, why) in zip(refused, answer.refused, strict=True)),
        tuple(_numbered(records, answer.conflicts)),
    )


def _numbered(records: Sequence[Record], told: Sequence[Record]) -> Iterator[_ToldRecord]:
    """Yield the numbers of the records in an engine's answer; the engine may have added to their findings."""
    taken: set[int] = set()
    for record in told:
        bare = record._replace(findings=())
        number = next(
            number
            for number, each in enumerate(records)
            if number not in taken and each[:3] == bare[:3] and each._replace(findings=()) == bare
        )
        taken.add(number)
        yield _ToldRecord(number, record.findings)


def _answer(records: Sequence[Record], wire: _WireAnswer) -> Stored | QueueError:
    if wire.failure:
        return _error(wire.failure, wire.text)
    return Stored(
        tuple(_answered_record(records, each) for each in wire.duplicates),
        wire.reused,
        tuple((_answered_record(records, each), why) for each, why in wire.refused),
        tuple(_answered_record(records, each) for each in wire.conflicts),
    )


def _answered_record(records: Sequence[Record], wire: _ToldRecord) -> Record:
    record = records[wire.number]
    return record if record.findings == wire.findings else record._replace(findings=wire.findings)


def _failure(error: Exception) -> tuple[str, str]:
    kind = next((name for name, each in _FAILURES.items() if type(error) is each), "")
    return (kind, str(error)) if kind else (QueueError.__name__, f"{type(error).__name__} in the queue")


def _error(kind: str, text: str) -> QueueError:
    return _FAILURES.get(kind, QueueError)(text)
