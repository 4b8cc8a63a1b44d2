"""The questions of a front to the queue, apart from storing groups."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial

from proxy.queue.contract import Intake
from proxy.queue.remote import messages
from proxy.queue.remote.frames import Frame, FrameKind, MalformedFrameError


class Questions:
    """Asks the queue for a front."""

    def __init__(self, queue: Intake) -> None:
        self._queue = queue

    def read_question(self, frame: Frame) -> Callable[[], Awaitable[bytes]]:
        """Read the question in a frame; return a function that asks the queue and returns the body of the answer.

        Raises:
            MalformedFrameError: when it is no question.
        """
        if frame.kind is FrameKind.SUPPRESS:
            return partial(self._suppress, messages.read(messages.SUPPRESS, frame.body))
        if frame.kind is FrameKind.LIFT:
            return partial(self._lift, messages.read(messages.LIFT, frame.body))
        if frame.kind is FrameKind.SUPPRESSED:
            return partial(self._suppressed, messages.read(messages.DIGESTS, frame.body))
        if frame.kind is FrameKind.MET_ORDERS:
            return partial(self._met_orders, messages.read(messages.MET_ORDERS, frame.body))
        raise MalformedFrameError(f"a frame of kind {frame.kind}")

    async def _suppress(self, asked: messages.NewSuppression) -> bytes:
        await self._queue.suppress(*asked)
        return b""

    async def _lift(self, asked: messages.Lift) -> bytes:
        return messages.encode(await self._queue.lift(*asked))

    async def _suppressed(self, person_digests: Collection[bytes]) -> bytes:
        return messages.encode(list(await self._queue.suppressed(person_digests)))

    async def _met_orders(self, asked: messages.MetOrders) -> bytes:
        return messages.encode(list(await self._queue.known_server_orders(*asked)))
