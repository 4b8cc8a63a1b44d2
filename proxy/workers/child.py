"""A child process: forked, so that it has its parent's very configuration whatever the file says by now.

Two pipes join it with its parent. One only ever ends: then the child stops, be it that the parent wants it or that the
parent is gone. By the other the child says that it is ready, and from then on that it lives, or why it cannot start.
Signals are the parent's business:
a service manager sends SIGTERM to all processes at once, and the back has to be the last.
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
"""A child that is ready says so often that it lives."""
MOST_SILENT_BEATS = 6
"""Counted in looks of the parent, since a machine that stood still says nothing of its processes."""
HELD_BACK = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


@dataclass(slots=True)
class Child:
    """A process as its parent sees it."""

    name: str
    pid: int
    orders: int
    """Descriptor whose closing ends the child."""
    words: int
    """Descriptor by which it speaks."""
    address: str = ""
    """Where it listens; empty until it is ready."""
    failure: str = ""
    """Why it ended, in its own words."""
    heard: bytes = field(default=b"", repr=False)
    silent_beats: int = 0
    """How many times the parent has looked for a word since the last."""

    def listen(self) -> bool:
        """Take what the child said; tell whether it may say more."""
        said = os.read(self.words, _MOST_WORDS)
        self.heard += said
        self.silent_beats = 0
        *lines, self.heard = self.heard.split(b"\n")
        for line in lines:
            word = orjson.loads(line)
            self.address, self.failure = word.get("ready", self.address), word.get("failure", self.failure)
        return bool(said)

    def hangs(self) -> bool:
        """Look whether it still speaks; to be called every ``BEAT_S``."""
        self.silent_beats += 1
        return self.silent_beats > MOST_SILENT_BEATS

    def order_end(self) -> None:
        """Let the child stop in order."""
        if self.orders >= 0:
            os.close(self.orders)
            self.orders = -1

    def forget(self) -> None:
        """Let go of a child that has ended, after its last words."""
        while self.listen():
            pass
        os.close(self.words)
        self.order_end()


def forked(name: str, main: Main, *, stops_at_term: bool, close: Callable[[], None]) -> Child:
    """Fork a child that runs ``main`` in an event loop of its own.

    Args:
        name: What it is, for the log and for the list of processes.
        main: What it does.
        stops_at_term: Whether SIGTERM stops this child alone; otherwise only its parent's order does.
        close: Closes in the child what of its parent it does not need.
    """
    (order_end, orders), (words, word_end) = os.pipe(), os.pipe()
    # A parent that is stopped must not stop its children, which speak all the time.
    os.set_blocking(word_end, False)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        pid = os.fork()
        if pid == 0:
            os.close(orders)
            os.close(words)
            _live(name, main, _Ends(order_end, word_end, stops_at_term=stops_at_term), close)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    os.close(order_end)
    os.close(word_end)
    return Child(name, pid, orders, words)


@dataclass(frozen=True, slots=True)
class _Ends:
    """The child's ends of the pipes, and how it is stopped."""

    orders: int
    words: int
    stops_at_term: bool

    def say(self, **word: str) -> None:
        with suppress(OSError):  # the parent is gone, or does not listen
            os.write(self.words, orjson.dumps(word) + b"\n")

    def live_on(self) -> None:
        self.say(alive="")
        asyncio.get_running_loop().call_later(BEAT_S, self.live_on)


def _live(name: str, main: Main, ends: _Ends, close: Callable[[], None]) -> NoReturn:
    """Be the child; nothing of the parent's is unwound at its end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in HELD_BACK:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        close()
        with suppress(OSError):
            Path("/proc/self/comm").write_text(f"capi-{name.replace(' ', '-')}")
        uvloop.run(_until_ordered(main, ends))
        code = 0
    except (QueueError, OSError) as error:
        ends.say(failure=str(error))
    except BaseException as error:  # noqa: BLE001 - the parent tells of it; what it says may quote a visitor
        ends.say(failure=f"a fault of ours: {fault(error)}")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


async def _until_ordered(main: Main, ends: _Ends) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def ordered() -> None:
        loop.remove_reader(ends.orders)
        stop.set()

    def ready(address: str) -> None:
        ends.say(ready=address)
        ends.live_on()
        # What is there now stays: to look through it for waste holds up all requests for 20 ms.
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
