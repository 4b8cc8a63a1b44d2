"""The messages between a front and the back, except groups."""

import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, TypeAlias, TypeVar

import msgspec

from proxy.model.condition import ConditionCode
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.suppression import SuppressionKind
from proxy.queue.remote.frames import MalformedFrameError

T = TypeVar("T")

TOKEN = 16
_Digest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
_Moment: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
encode = msgspec.msgpack.Encoder().encode


class Hello(NamedTuple):
    """The first message of a front."""

    token: bytes
    """See ``new_token``."""
    front: int
    """Its number, from 1."""


class State(NamedTuple):
    """The state of the queue at this moment."""

    suppressions_version: int
    """See ``SuppressionFilter``: the shared sieve knew of all suppressions up to this version before this was sent."""
    fullness: float
    """See ``Intake``; so for ``refuses``."""
    refuses: str
    overfull: str
    """Why no append is taken; empty while they are. A disk that is only slow refuses nothing yet."""


class Note(NamedTuple):
    """The arguments of ``Intake.note``."""

    rows: tuple[LedgerRow, ...]
    copy_updates: tuple[BrowserCopyUpdate, ...]
    pixels: tuple[str, ...]
    visitors: tuple[bytes, ...]


class NewSuppression(NamedTuple):
    """The arguments of ``Suppressing.suppress``."""

    person_digests: list[_Digest]
    kind: SuppressionKind
    at: _Moment


class Lift(NamedTuple):
    """The arguments of ``Suppressing.lift``."""

    person_digests: list[_Digest]
    kinds: list[SuppressionKind]
    at: _Moment


class MetOrders(NamedTuple):
    """The arguments of ``Intake.known_server_orders``."""

    pixel: str
    orders: list[bytes]


class ConditionReport(NamedTuple):
    """A condition of a front; see ``ConditionBoard.report``."""

    code: ConditionCode
    subject: str
    detail: str
    lasts_ms: int | None


class ConditionEnd(NamedTuple):
    """A condition of a front that is over."""

    code: ConditionCode
    subject: str


class CounterChange(NamedTuple):
    """What a counter grew by."""

    name: str
    labels: tuple[str, ...]
    """The values of its labels."""
    since: float
    """Its value in the last report that the back confirmed."""
    now: float
    """Its value in this report."""


class FrontReport(NamedTuple):
    """What a front counted and noticed since its last report that was answered."""

    life: bytes = b""
    """Distinguishes this process of the front from the one before. A report may come twice, if its answer was lost."""
    counts: tuple[CounterChange, ...] = ()
    reported: tuple[ConditionReport, ...] = ()
    cleared: tuple[ConditionEnd, ...] = ()


def new_token() -> bytes:
    """Return what proves to a back that a front is of the same start of the proxy, and so of the same settings."""
    return secrets.token_bytes(TOKEN)


HELLO = msgspec.msgpack.Decoder(Hello).decode
STATE = msgspec.msgpack.Decoder(State).decode
NOTES = msgspec.msgpack.Decoder(list[Note]).decode
SUPPRESS = msgspec.msgpack.Decoder(NewSuppression).decode
LIFT = msgspec.msgpack.Decoder(Lift).decode
DIGESTS = msgspec.msgpack.Decoder(list[_Digest]).decode
KINDS = msgspec.msgpack.Decoder(list[SuppressionKind]).decode
MET_ORDERS = msgspec.msgpack.Decoder(MetOrders).decode
ORDERS = msgspec.msgpack.Decoder(list[bytes]).decode
REPORT = msgspec.msgpack.Decoder(FrontReport).decode


def read(decode: Callable[[bytes], T], body: bytes) -> T:
    """Return what a body holds.

    Raises:
        MalformedFrameError: when it holds something else.
    """
    try:
        return decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedFrameError(f"a body that says something else: {type(error).__name__}") from None


def joined_notes(notes: Sequence[bytes]) -> bytes:
    """Return encoded notes as the body of one frame."""
    return encode([msgspec.Raw(note) for note in notes])
