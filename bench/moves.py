"""How many jumps between our files it takes to follow one event, from the door's handler to its answer.

A proxy runs in this process; a visitor who was here before sends a PageView or a Purchase with four match keys, on its
real socket, into its real queue. ``sys.setprofile`` sees each call and each return on the thread of the event loop. A
*move* is a call or return after which another file of ours is current. A coroutine or generator that pauses and goes on
is no move. Work of other tasks and threads does not count: the queue's writer has a thread of its own.

The flow comes back to a file when a function that the file called returns, or when the file is called once more. The
first happens after each step of any list of steps, so the two are counted apart.

``--calls`` counts the Python calls of the same request instead, those of libraries too: from the bytes that a
connection receives until the queue takes the records.
"""

import asyncio
import dis
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import click
import orjson
from rig import PinnedMachine, browser_headers, table, workplace

import proxy
from proxy.app import run_proxy
from proxy.config import load
from proxy.edge.collect import CollectDoor
from proxy.edge.net.fast import FastConnection
from proxy.model.record import Record
from proxy.queue.contract import Stored
from proxy.queue.grouper import Grouper

_RULES = ("rules/", "graph/", "model/")
_OURS = str(Path(proxy.__file__).parent) + "/"
_EVENTS = {
    "PageView": ({}, {}),
    "Purchase": (
        {"em": "maria@example.com", "ph": "+49 30 1234567", "fn": "Maria", "external_id": "4711"},
        {"value": 59.7, "currency": "EUR", "content_ids": ["sku-1"], "content_type": "product", "order_id": "1001"},
    ),
}


class Trail:
    """Records the files of ours that one task passes through, from the first call on."""

    def __init__(self) -> None:
        self.files: list[str] = []
        """The file after each move; the first is where the task began."""
        self.called: Counter[str] = Counter()
        """How many calls from another file led to each file."""
        self._first: FrameType | None = None
        self._paused: set[FrameType] = set()
        self._task = asyncio.current_task()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Handle one event of ``sys.setprofile``."""
        if event not in {"call", "return"} or not _is_ours(frame) or _task() is not self._task:
            return
        self._first = self._first or frame
        if event == "call" and frame in self._paused:
            self._paused.remove(frame)
        elif event == "return" and _pauses(frame):
            self._paused.add(frame)
        elif event == "call":
            self.called[_file(frame)] += self._go_to(frame)
        elif frame is not self._first:
            self._go_to(_caller(frame))

    def _go_to(self, frame: FrameType | None) -> bool:
        file = _file(frame) if frame else ""
        if not file or (self.files and self.files[-1] == file):
            return False
        self.files.append(file)
        return True


def _task() -> asyncio.Task[Any] | None:
    with suppress(RuntimeError):
        return asyncio.current_task()
    return None


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename.removeprefix(_OURS)


def _caller(frame: FrameType) -> FrameType | None:
    caller = frame.f_back
    while caller is not None and not _is_ours(caller):
        caller = caller.f_back
    return caller


def _pauses(frame: FrameType) -> bool:
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "YIELD_VALUE"


def _followed(handler: Callable[..., Awaitable[Any]], trails: list[Trail]) -> Callable[..., Awaitable[Any]]:
    """Return a handler that appends the trail of each request to ``trails``."""

    async def follow(*arguments: Any) -> Any:
        trail = Trail()
        sys.setprofile(trail)
        try:
            return await handler(*arguments)
        finally:
            sys.setprofile(None)
            trails.append(trail)

    return follow


def _count_calls(counts: list[Counter[str]]) -> None:
    """Count the calls of each request by the file called, from the receipt of its bytes to ``append``.

    It replaces methods of the connection and of the queue; each request appends a counter to ``counts``.
    """
    receive, append = FastConnection.data_received, Grouper.append

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            counts[-1][_file(frame) if _is_ours(frame) else "libraries"] += 1

    def data_received(connection: FastConnection, data: bytes) -> None:
        counts.append(Counter())
        sys.setprofile(count)
        receive(connection, data)

    def taken(grouper: Grouper, records: Sequence[Record], **options: Any) -> Coroutine[Any, Any, Stored]:
        sys.setprofile(None)
        return append(grouper, records, **options)

    FastConnection.data_received = data_received  # type: ignore[method-assign, assignment]
    Grouper.append = taken  # type: ignore[method-assign, assignment]


def _body(name: str, number: int) -> bytes:
    match, data = _EVENTS[name]
    now = time.time_ns() // 1_000_000
    return orjson.dumps(
        {
            "v": 1,
            "sent": now,
            "url": "https://www.shop.example/shoes?utm_source=meta",
            "referrer": "https://www.shop.example/",
            "fbp": "fb.1.1763000000000.1234567890",
            "consent": "granted",
            "match": {"1001": match} if match else {},
            "events": [
                {"name": name, "id": f"{now}-{number}", "at": now, "pixels": ["1001"], "data": data, "pixel": "fired"}
            ],
        }
    )


def _traced(name: str) -> Trail:
    """Send several requests of one visitor, and return the trail of the last one."""
    trails: list[Trail] = []
    CollectDoor.answer = _followed(CollectDoor.answer, trails)  # type: ignore[method-assign, assignment]
    _visit(name)
    return trails[-1]


def _counted(name: str) -> Counter[str]:
    """Send several requests of one visitor, and return the calls of the last one, by file."""
    counts: list[Counter[str]] = []
    _count_calls(counts)
    _visit(name)
    return counts[-1]


def _visit(name: str, requests: int = 4) -> None:
    with workplace() as place:
        asyncio.run(_post(PinnedMachine(place / "proxy", "http://127.0.0.1:1", limited=True), name, requests))


async def _post(machine: PinnedMachine, name: str, requests: int) -> None:
    """Send requests of one visitor; each has the cookies that the earlier answers set."""
    headers = {key: value for key, value in browser_headers().items() if key != "Cookie"}
    async with run_proxy(load.load(machine.config, {})), aiohttp.ClientSession(headers=headers) as page:
        cookies: dict[str, str] = {}
        for number in range(requests):
            own = {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())} if cookies else {}
            forwarding = {"Host": "t.shop.example", "X-Forwarded-For": "91.2.3.4", "X-Forwarded-Proto": "https"}
            address = f"http://127.0.0.1:{machine.port}/bench/e"
            async with page.post(address, data=_body(name, number), headers=own | forwarding) as answer:
                if answer.status != 204:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")
                cookies |= {key: cookie.value for key, cookie in answer.cookies.items()}


def _figures(files: Sequence[str], called: Counter[str]) -> list[str]:
    """Return the number of moves and of files, and the files most often come back to and most often called again."""
    visits = Counter(file for file in files if file)
    return [str(len(files) - 1), str(len(visits)), _most(visits), _most(called)]


def _by_file(counts: Counter[str]) -> list[tuple[str, str]]:
    return [(file, str(count)) for file, count in counts.most_common()]


def _rules_alone(files: Sequence[str]) -> list[str]:
    """Return the trail with only the files of the rules; "" stands for each stay in other files."""
    named = [file if file.startswith(_RULES) else "" for file in files]
    return [file for file, before in zip(named, ["/", *named], strict=False) if file != before]


def _most(visits: Counter[str], shown: int = 4) -> str:
    return ", ".join(f"{file} {count - 1}" for file, count in visits.most_common(shown) if count > 1) or "none"


@click.command()
@click.argument("name", type=click.Choice(list(_EVENTS)), default="Purchase")
@click.option("--list", "listed", is_flag=True, help="Print each move.")
@click.option("--calls", is_flag=True, help="Count Python calls up to the queue instead.")
def main(*, name: str, listed: bool, calls: bool) -> None:
    """Moves between files for one event of a returning visitor."""
    if calls:
        counts = _counted(name)
        table((f"warm {name}, bytes to queue", "calls"), [("all", str(counts.total())), *_by_file(counts)])
        return
    trail = _traced(name)
    if listed:
        print("\n".join(trail.files))
    rules = Counter({file: count for file, count in trail.called.items() if file.startswith(_RULES)})
    rows = [("whole", *_figures(trail.files, trail.called)), ("rules", *_figures(_rules_alone(trail.files), rules))]
    table((f"warm {name}", "moves", "files", "come back to", "called again"), rows)


if __name__ == "__main__":
    main()
