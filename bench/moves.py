"""How far a reader must turn to follow one event: moves between our files, from the door's handler to its answer.

A proxy runs in this process; a visitor who was here before sends a PageView or a Purchase with four match keys, on
its real socket, into its real queue. ``sys.setprofile`` sees each call and each return on the thread of the event loop.
A *move* is one of them that changes the current file of ours. A coroutine or generator that pauses and goes on is no
move. Work of other tasks and threads does not count: the queue's writer has a thread of its own.

A file is *left* when a function of another file is called, and *returned to* by any move into it after its first: by
the return of what it called, or by a later call.
"""

import asyncio
import dis
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import click
import orjson
from rig import PinnedMachine, browser_headers, workplace

import proxy
from proxy.app import running
from proxy.config import load
from proxy.edge.collect import CollectDoor

_OURS = str(Path(proxy.__file__).parent) + "/"
_EVENTS = {
    "PageView": ({}, {}),
    "Purchase": (
        {"em": "maria@example.com", "ph": "+49 30 1234567", "fn": "Maria", "external_id": "4711"},
        {"value": 59.7, "currency": "EUR", "content_ids": ["sku-1"], "content_type": "product", "order_id": "1001"},
    ),
}


class Trail:
    """Follows one task through our files."""

    def __init__(self) -> None:
        self.files: list[str] = []
        """The file after each move; the first is where it began."""
        self._paused: set[FrameType] = set()
        self._task = asyncio.current_task()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note one event of ``sys.setprofile``."""
        if event not in {"call", "return"} or not _is_ours(frame) or _task() is not self._task:
            return
        if event == "call" and frame in self._paused:
            self._paused.remove(frame)
        elif event == "return" and _pauses(frame):
            self._paused.add(frame)
        else:
            self._go_to(frame if event == "call" else _caller(frame))

    def _go_to(self, frame: FrameType | None) -> None:
        file = _file(frame) if frame else ""
        if file and (not self.files or self.files[-1] != file):
            self.files.append(file)

    def visits(self) -> Counter[str]:
        """Return how often each file was come to."""
        return Counter(self.files)


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


def _followed(handler: Callable[..., Awaitable[Any]], paths: list[Trail]) -> Callable[..., Awaitable[Any]]:
    """Return a handler that notes the path of each request."""

    async def follow(*given: Any) -> Any:
        path = Trail()
        sys.setprofile(path)
        try:
            return await handler(*given)
        finally:
            sys.setprofile(None)
            paths.append(path)

    return follow


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


async def _trace(machine: PinnedMachine, name: str, warm: int) -> Trail:
    """Return the path of the last of some requests of one visitor."""
    paths: list[Trail] = []
    CollectDoor.answer = _followed(CollectDoor.answer, paths)  # type: ignore[method-assign, assignment]
    headers = {key: value for key, value in browser_headers().items() if key != "Cookie"}
    async with running(load.load(machine.config, {})), aiohttp.ClientSession(headers=headers) as page:
        cookies: dict[str, str] = {}
        for number in range(warm + 1):
            own = {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())} if cookies else {}
            forwarding = {"X-Forwarded-For": "91.2.3.4", "X-Forwarded-Proto": "https"}
            address = f"http://127.0.0.1:{machine.port}/bench/e"
            async with page.post(address, data=_body(name, number), headers=own | forwarding) as answer:
                if answer.status != 204:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")
                cookies |= {key: cookie.value for key, cookie in answer.cookies.items()}
    return paths[-1]


@click.command()
@click.argument("name", type=click.Choice(list(_EVENTS)), default="Purchase")
@click.option("--list", "listed", is_flag=True, help="Print each move.")
def main(*, name: str, listed: bool) -> None:
    """Moves between files for one event of a returning visitor."""
    with workplace() as place:
        trail = asyncio.run(_trace(PinnedMachine(place / "proxy", "http://127.0.0.1:1", limited=True), name, warm=3))
    if listed:
        print("\n".join(trail.files))
    visits = trail.visits()
    print(len(trail.files) - 1, len(visits), visits.most_common(12))


if __name__ == "__main__":
    main()
