"""One attempt at a batch: send, and on a content error halve until the bad events stand alone.

Graph refuses a whole batch for one bad event (Meta, using the API), and its texts do not say which.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from proxy.model import Dead, Delivered, Pause, Record, Retry, Split, Verdict
from proxy.rules.capi import is_content_subcode

Send: TypeAlias = Callable[[Sequence[Record]], Awaitable[Verdict]]

# So many events refused alone, with one same code and none delivered, and the pixel is at fault, not the events.
_SYSTEMIC = 8


@dataclass(slots=True)
class Attempt:
    """How far an attempt came; ``left`` holds what is undecided because of ``halt``."""

    delivered: list[tuple[Record, Delivered]] = field(default_factory=list)
    dead: list[tuple[Record, Dead]] = field(default_factory=list)
    left: list[Record] = field(default_factory=list)
    halt: Pause | Retry | None = None


async def attempt(records: Sequence[Record], send: Send) -> Attempt:
    """Deliver what can be delivered; about 2·log₂ n requests for each bad event among n."""
    result = Attempt()
    pending = [list(records)]
    while pending and result.halt is None:
        batch = pending.pop()
        verdict = await send(batch)
        match verdict:
            case Delivered():
                result.delivered += [(record, verdict) for record in batch]
            case Split():
                middle = len(batch) // 2
                pending += [batch[middle:], batch[:middle]]
            case Dead():
                result.dead += [(record, verdict) for record in batch]
                pending = _suspect(result, pending)
            case Pause() | Retry():
                result.left += batch
                result.halt = verdict
            case _:
                assert_never(verdict)
    result.left += [record for batch in reversed(pending) for record in batch]
    return result


def _suspect(result: Attempt, pending: list[list[Record]]) -> list[list[Record]]:
    """Watch for a fault of the whole pixel: then nothing is buried, and the attempt ends with a pause.

    When eight events failed alike, eight more are tried alone, spread over the rest, before the verdict: eight bad
    neighbours prove nothing, and a thousand single requests would be no way to find out.
    """
    if result.delivered or len(result.dead) < _SYSTEMIC or not _alike(result.dead):
        return pending
    if pending and len(result.dead) < 2 * _SYSTEMIC:
        return _spread(pending) if len(result.dead) == _SYSTEMIC else pending
    result.left += [record for record, _ in result.dead]
    result.halt = Pause("systemic", result.dead[0][1].words)
    result.dead = []
    return pending


def _alike(dead: list[tuple[Record, Dead]]) -> bool:
    codes = {(verdict.words.code, verdict.words.subcode) for _, verdict in dead}
    return len(codes) == 1 and not is_content_subcode(dead[0][1].words.subcode)


def _spread(pending: list[list[Record]]) -> list[list[Record]]:
    rest = [record for batch in reversed(pending) for record in batch]
    step = max(1, len(rest) // _SYSTEMIC)
    singles = rest[::step][:_SYSTEMIC]
    chosen = {id(record) for record in singles}
    others = [record for record in rest if id(record) not in chosen]
    return [*([others] if others else []), *([record] for record in singles)]
