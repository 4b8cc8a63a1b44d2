"""A child process: forked, so that it has its parent's configuration even if the file has changed since.

Two pipes connect it with its parent. Nothing is written to the first: when the parent's end closes, on purpose or since
the parent died, the child stops. By the second the child reports that it is ready, and from then on that it lives, or
why it cannot start. The back ignores SIGTERM and waits for its parent's order: a service manager sends SIGTERM to all
processes at once, and the back has to stop last.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeAlias

import orjson
import uvloop

from proxy.queue.contract import QueueError
from proxy.rules.faults import fault

Ready: TypeAlias = Callable[[str], None]
"""Called by a child that is ready, with the address where it listens."""
Main: TypeAlias = Callable[[asyncio.Event, Ready], Awaitable[None]]
"""What a child does until the event is set."""
_MOST_WORDS = 4096
BEAT_S = 5.0
"""Every so many seconds a child that is ready reports that it lives."""
MOST_SILENT_BEATS = 6
"""How many checks of the parent in a row may find no report. Not a time, which also passes while the machine sleeps."""
HELD_BACK = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


@dataclass(slots=True)
class Child:
    """A process as its parent sees it."""

    name: str
    pid: int
    orders: int
    """Descriptor of the pipe whose closing tells the child to stop; -1 once it is closed."""
    words: int
    """Descriptor from which the child's reports are read."""
    address: str = ""
    """Where it listens; empty until it is ready."""
    failure: str = ""
    """Why it ended, as it reported itself; empty when it reported nothing."""
    heard: bytes = field(default=b"", repr=False)
    silent_beats: int = 0
    """How many checks of the parent have passed since the last report."""

    def listen(self) -> bool:
        """Read what the child has reported; return False when it has closed its end of the pipe."""
        said = os.read(self.words, _MOST_WORDS)
        self.heard += said
        self.silent_beats = 0
        *lines, self.heard = self.heard.split(b"\n")
        for line in lines:
            word = orjson.loads(line)
            self.address, self.failure = word.get("ready", self.address), word.get("failure", self.failure)
        return bool(said)

    def hangs(self) -> bool:
        """Check, every ``BEAT_S``, on the child; return True when too many checks have passed without a report."""
        self.silent_beats += 1
        return self.silent_beats > MOST_SILENT_BEATS

    def order_end(self) -> None:
        """Tell the child to stop in order."""
        if self.orders >= 0:
            os.close(self.orders)
            self.orders = -1

    def close_pipes(self) -> None:
        """Read the last reports of a child that has ended, and close its pipes."""
        while self.listen():
            pass
        os.close(self.words)
        self.order_end()


def fork_child(name: str, main: Main, *, stops_at_term: bool, close: Callable[[], None]) -> Child:
    """Fork a child that runs ``main`` in an event loop of its own.

    Args:
        name: The name of the child in the log and in the list of processes.
        main: The work of the child.
        stops_at_term: Whether SIGTERM stops the child too; otherwise only its parent's order does.
        close: Called in the child; closes the descriptors of the parent that it does not need.
    """
    (order_end, orders), (words, word_end) = os.pipe(), os.pipe()
    # A parent that is suspended (SIGSTOP) reads nothing, and the full pipe must not block its children.
    os.set_blocking(word_end, False)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        pid = os.fork()
        if pid == 0:
            os.close(orders)
            os.close(words)
            _run_child(name, main, _ChildPipes(order_end, word_end, stops_at_term=stops_at_term), close)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    os.close(order_end)
    os.close(word_end)
    return Child(name, pid, orders, words)


@dataclass(frozen=True, slots=True)
class _ChildPipes:
    """The child's ends of the pipes, and how it is stopped."""

    orders: int
    words: int
    stops_at_term: bool

    def report(self, **word: str) -> None:
        with suppress(OSError):  # the parent is gone, or does not read
            os.write(self.words, orjson.dumps(word) + b"\n")

    def send_heartbeats(self) -> None:
        self.report(alive="")
        asyncio.get_running_loop().call_later(BEAT_S, self.send_heartbeats)


def _run_child(name: str, main: Main, ends: _ChildPipes, close: Callable[[], None]) -> NoReturn:
    """Run as the child, and exit without unwinding the stack of the parent."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in HELD_BACK:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        close()
        with suppress(OSError):
            Path("/proc/self/comm").write_text(f"capi-{name.replace(' ', '-')}")
        uvloop.run(_run_until_stopped(main, ends))
        code = 0
    except (QueueError, OSError) as error:
        ends.report(failure=str(error))
    except BaseException as error:  # noqa: BLE001 - the parent logs it; the error's own text may quote a visitor
        ends.report(failure=f"a fault of ours: {fault(error)}")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


async def _run_until_stopped(main: Main, ends: _ChildPipes) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def ordered() -> None:
        loop.remove_reader(ends.orders)
        stop.set()

    def ready(address: str) -> None:
        ends.report(ready=address)
        ends.send_heartbeats()
        # Objects made so far stay for good; a garbage collection of them would hold up all requests for 20 ms.
        gc.freeze()

    loop.add_reader(ends.orders, ordered)
    if ends.stops_at_term:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    await main(stop, ready)


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors, whichever of them are still open."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
