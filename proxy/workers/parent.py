"""The parent of all processes of a proxy: opens what they share, starts them, and starts again those that end.

A child that says nothing for half a minute hangs, and is killed. The parent does nothing else, so there is little that
could end it: no event loop, no thread, no file of the queue.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from socket import socket
from types import FrameType
from typing import NamedTuple

from proxy.workers.child import BEAT_S, Child, Main, close_all, fork_child
from proxy.workers.supervised import Supervised

log = logging.getLogger(__name__)

_MOST_FAILED_STARTS = 8
"""How many starts of one process may fail in a row; then all end, and the service manager may restart the proxy."""
_FRONTS_S, _BACK_S = 25.0, 90.0
"""How many seconds the fronts, and after them the back, have to stop in order."""


class WorkerError(Exception):
    """A process of the proxy cannot start, or did not stop in order; the text says which and why."""


class Started(NamedTuple):
    """A proxy whose processes are all ready."""

    public: str
    operator: str
    pids: dict[str, int]
    """Process ids by the names of the processes."""


class Parent:
    """Starts, watches and restarts the children; used in the main thread of a process without other threads."""

    def __init__(self, back: Main, fronts: Sequence[tuple[Main, Sequence[socket]]]) -> None:
        """Prepare to start.

        Args:
            back: The work of the back.
            fronts: The work of each front, and its sockets.
        """
        self._back = Supervised("back", back)
        self._fronts = [Supervised(f"front {number}", *parts) for number, parts in enumerate(fronts, 1)]
        self._places = (self._back, *self._fronts)
        self._begun: list[Supervised] = []
        """The processes that have been started; those that ended are restarted."""
        self._is_stopping = False
        self._disorder = ""
        """What went wrong when a child did not stop in order; empty when none has."""
        self._bell = -1, -1
        self._next_beat = 0.0
        """When to check next whether all children report that they live, by ``time.monotonic``."""

    def run(self, announce: Callable[[Started], None]) -> None:
        """Run until SIGTERM or SIGINT, then stop the fronts and after them the back.

        Raises:
            WorkerError: when a process cannot start, or does not stop in order.
        """
        with self._signals():
            try:
                self._start([self._back])
                self._start(self._fronts)
                if not self._is_stopping:
                    announce(self._started())
                while not self._is_stopping:
                    self._start_due()
                    self._kill_silent()
                    self._wait(self._next_due())
            finally:
                self._stop()
        if self._disorder:
            raise WorkerError(self._disorder)

    def _start(self, places: Sequence[Supervised]) -> None:
        """Start processes for the first time, and wait until all are ready."""
        self._begun += places
        while not (self._is_stopping or all(place.is_ready for place in self._begun)):
            self._start_due()
            self._kill_silent()
            self._wait(self._next_due())

    def _started(self) -> Started:
        children = [place.child for place in self._places if place.child]
        addresses = {child.name: child.address for child in children}
        pids = {child.name: child.pid for child in children}
        return Started(addresses[self._fronts[0].name], addresses[self._back.name], pids)

    def _start_due(self) -> None:
        now = time.monotonic()
        for place in self._begun:
            if place.child is None and place.due <= now:
                pid = self._fork(place).pid
                if place.ends:
                    log.warning("%s is process %d now", place.name, pid)

    def _next_due(self) -> float:
        due = [place.due for place in self._begun if place.child is None]
        return max(0.0, min([self._next_beat, *due]) - time.monotonic())

    def _kill_silent(self) -> None:
        """Kill children that were ready and no longer report that they live; ``_reap`` then schedules new ones."""
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + BEAT_S
        for place in self._begun:
            if place.child and place.is_ready and place.child.hangs():
                log.error("%s (process %d) hangs, and is killed", place.name, place.child.pid)
                os.kill(place.child.pid, signal.SIGKILL)

    def _fork(self, place: Supervised) -> Child:
        close = partial(self._close_in_child, place)
        place.child = child = fork_child(place.name, place.main, stops_at_term=place is not self._back, close=close)
        return child

    def _close_in_child(self, mine: Supervised) -> None:
        """Close copies of the parent's pipe ends: while one is open, a sibling would not notice the parent's end."""
        for place in self._places:
            if place.child:
                close_all((place.child.orders, place.child.words))
            if place is not mine:
                for listening in place.sockets:
                    listening.close()
        close_all(self._bell)

    # -- reports of children, and their ends

    def _wait(self, seconds: float) -> None:
        """Wait, at most ``seconds``, for a report or the end of a child or for a signal; then reap ended children."""
        poll = select.poll()
        by_words = {place.child.words: place.child for place in self._places if place.child}
        for descriptor in (self._bell[0], *by_words):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(seconds * 1000 + 1):
            if descriptor in by_words:
                if not by_words[descriptor].listen():
                    time.sleep(0.001)  # its pipe is closed, and ``waitpid`` will tell its end in a moment
            else:
                with suppress(BlockingIOError):
                    os.read(descriptor, 4096)
        self._reap()

    def _reap(self) -> None:
        for place in self._places:
            if place.child:
                pid, status = os.waitpid(place.child.pid, os.WNOHANG)
                if pid:
                    self._take_end(place, place.child, os.waitstatus_to_exitcode(status))

    def _take_end(self, place: Supervised, child: Child, code: int) -> None:
        child.close_pipes()
        place.child = None
        why = child.failure or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
        if self._is_stopping:
            if code:
                self._disorder = f"{place.name} did not stop in order: {why}"
            return
        place.failed_starts = 0 if child.address else place.failed_starts + 1
        if place.failed_starts > (0 if not place.ends else _MOST_FAILED_STARTS):
            raise WorkerError(f"{place.name} cannot start: {why}")
        delay = place.delay(time.monotonic())
        place.due = time.monotonic() + delay
        log.error("%s (process %d) ended: %s; another is started in %.2f s", place.name, child.pid, why, delay)

    # -- the end

    def _stop(self) -> None:
        self._is_stopping = True
        for place in self._fronts:
            for listening in place.sockets:
                listening.close()
        self._end(self._fronts, _FRONTS_S)
        self._end([self._back], _BACK_S)

    def _end(self, places: Sequence[Supervised], seconds: float) -> None:
        """Tell children to stop, and kill those that take longer than ``seconds``."""
        for place in places:
            if place.child:
                place.child.order_end()
        deadline = time.monotonic() + seconds
        while any(place.child for place in places) and time.monotonic() < deadline:
            self._wait(deadline - time.monotonic())
        for place in places:
            if place.child:
                self._disorder = f"{place.name} did not stop within {seconds:.0f} s and was killed"
                os.kill(place.child.pid, signal.SIGKILL)
                os.waitpid(place.child.pid, 0)
                place.child.close_pipes()
                place.child = None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle signals until the context ends; each wakes ``_wait``."""
        self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, self._on_stop_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._bell[1], warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            close_all(self._bell)

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
