"""Brings what is wrong with the queue, while it goes on working, from the writer thread to the board of conditions."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from proxy.model.condition import ConditionBoard, ConditionCode

QUEUE: Final = "queue"
HOUSEKEEPING: Final = "housekeeping"
INCOMPLETE: Final = "ledger_incomplete"


class EventLoop(Protocol):
    """What is needed of the event loop."""

    def call_soon_threadsafe(self, callback: Callable[[], None], /) -> Any:
        """Call back on the event loop, soon."""


class Troubles:
    """Reports conditions; used from the writer thread.

    The board is told on the event loop when a condition begins and when it ends, and of nothing in between. Without a
    board nothing is reported.
    """

    def __init__(self, board: ConditionBoard | None, loop: EventLoop) -> None:
        self._board = board
        self._loop = loop
        self._current: set[tuple[ConditionCode, str]] = set()

    def begin(self, code: ConditionCode, subject: str, detail: str) -> None:
        """Report a condition, unless it was reported already and has not ended.

        Args:
            code: What is wrong.
            subject: What it is about; empty where there is only one such thing.
            detail: Figures and error texts for the operator.
        """
        if (code, subject) not in self._current:
            self._current.add((code, subject))
            if self._board:
                self._call(partial(self._board.report, code, subject, detail))

    def end(self, code: ConditionCode, subject: str) -> None:
        """Clear a condition if it was reported."""
        if (code, subject) in self._current:
            self._current.discard((code, subject))
            if self._board:
                self._call(partial(self._board.clear, code, subject))

    def _call(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call)
