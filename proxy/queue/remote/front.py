"""The queue as a front sees it: groups are keyed and sealed here, and stored by the back."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueError, QueueFullError
from proxy.queue.group import Append, Group, make_group
from proxy.queue.grouper import Grouper, Outcome
from proxy.queue.remote import messages
from proxy.queue.remote.frames import FrameKind, MalformedFrameError
from proxy.queue.remote.link import AWAY, BackLink
from proxy.queue.remote.messages import FrontReport, Lift, MetOrders, NewSuppression, Note
from proxy.queue.remote.notes import OutgoingNotes
from proxy.queue.remote.wire_answers import outcome_of
from proxy.queue.remote.wire_group import group_body
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve

_NOTES_S = 0.05
_REPORT_S = 1.0
_CLOSE_TIMEOUT_S = 2.0


class ReportSource(Protocol):
    """The source of a front's reports to the back."""

    def report(self, lost_notes: int) -> FrontReport | None:
        """Return what is new since the last report that was answered, or None.

        ``lost_notes`` is how many ledger rows and updates of browser copies since start found no room.
        """

    def on_answered(self) -> None:
        """Take note that the back has the last report."""

    def on_new_back(self) -> None:
        """Take note that the back may be a new process, which has none of the earlier reports."""


class _SharedSuppressionFilter:
    """Implements ``group.SuppressionFilter`` for ``make_group``; the back fills the memory of the sieve."""

    def __init__(self, sieve: Sieve, link: BackLink) -> None:
        self.may_hold = sieve.may_hold
        self._link = link

    @property
    def version(self) -> int:
        state = self._link.state
        return state.suppressions_version if state else -1


class RemoteQueue:
    """An ``Intake`` whose engine is in the back process."""

    def __init__(self, link: BackLink, sealer: Sealer, sieve: Sieve, source: ReportSource) -> None:
        """Take the parts; nothing is stored before ``start``.

        Args:
            link: Leads to the back.
            sealer: Seals what is stored. It must be this process's own: two processes with copies of one sealer would
                use nonces twice.
            sieve: A sieve in the memory that the back fills.
            source: What is reported to the back.
        """
        self._link = link
        self._suppressed = _SharedSuppressionFilter(sieve, link)
        self._may_hold = sieve.may_hold
        self._source = source
        link.on_here = source.on_new_back
        self._notes = OutgoingNotes(link)
        make = partial(make_group, sealer=sealer, suppressed=self._suppressed)
        self._grouper = Grouper(make, self._store, require=self._require_accepting)
        self.append = self._grouper.append
        """See ``Intake``."""
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to connect to the back, and to report to it."""
        self._link.start()
        self._tasks = [asyncio.create_task(self._send_notes()), asyncio.create_task(self._report_often())]

    async def close(self) -> None:
        """Finish every append made so far, tell the back what it does not know yet, and hang up."""
        await self._grouper.close()
        self._ending.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT_S)
        await self._link.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def known_server_orders(self, pixel: str, orders: Collection[bytes]) -> frozenset[bytes]:
        """See ``Intake``."""
        body = messages.encode(MetOrders(pixel, list(orders)))
        answer = await self._link.request_answer(FrameKind.MET_ORDERS, body)
        return frozenset(messages.read(messages.ORDERS, answer))

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """See ``Intake``."""
        self._notes.add(Note(tuple(rows), tuple(copy_updates), tuple(pixels), tuple(visitors)))

    def fullness(self) -> float:
        """See ``Intake``."""
        return self._link.state.fullness if self._link.state else 0.0

    def refusal_reason(self) -> str:
        """See ``Intake``."""
        return self._link.state.refuses if self._link.state else AWAY

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """See ``Suppressing``."""
        await self._link.request_answer(
            FrameKind.SUPPRESS, messages.encode(NewSuppression(list(person_digests), kind, at))
        )

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """See ``Suppressing``."""
        if not any(map(self._may_hold, person_digests)):
            return []
        body = messages.encode(Lift(list(person_digests), list(kinds), at))
        return messages.read(messages.KINDS, await self._link.request_answer(FrameKind.LIFT, body))

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """See ``Suppressing``."""
        possible = list(filter(self._may_hold, person_digests))
        if not possible:
            return set()
        answer = await self._link.request_answer(FrameKind.SUPPRESSED, messages.encode(possible))
        return set(messages.read(messages.KINDS, answer))

    def _require_accepting(self) -> None:
        state = self._link.state
        if state is None:
            raise QueueError(AWAY)
        if state.overfull:
            raise QueueFullError(state.overfull)

    def _store(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        self._link.ask(FrameKind.APPEND, group_body(group), partial(_tell_outcome, group.calls, tell))

    async def _send_notes(self) -> None:
        while not await self._wait_for_end(_NOTES_S):
            self._notes.send()
        if self._notes.send():
            self._notes.give_up()

    async def _report_often(self) -> None:
        while not await self._wait_for_end(_REPORT_S):
            await self._report()
        await self._report()

    async def _wait_for_end(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()

    async def _report(self) -> None:
        if report := self._source.report(self._notes.lost):
            with suppress(QueueError):
                await self._link.request_answer(FrameKind.REPORT, messages.encode(report))
                self._source.on_answered()


def _tell_outcome(calls: Sequence[Append], tell: Callable[[Outcome], None], answer: bytes | QueueError) -> None:
    if isinstance(answer, QueueError):
        tell(answer)
        return
    try:
        outcome = outcome_of(answer, calls)
    except MalformedFrameError:
        outcome = QueueError("the answer of the back cannot be read; it may have been done")
    tell(outcome)
