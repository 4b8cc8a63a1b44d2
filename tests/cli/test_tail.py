"""``tail`` in the terminal: no event is missed or shown twice, and a restart of the proxy does not end it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from machine import ROOT, Machine, free_port
from servers import simulator
from support import browser_headers, wire

from proxy.cli.tail import Tail
from proxy.model.ledger import Status
from proxy.queue.contract import Filter

CONFIG = """
[server]
operator_listen = "127.0.0.1:{port}"
[[site]]
name = "shop"
domains = ["shop.test"]
[[site.pixel]]
id = "1"
access_token = "env:NOT_SET_HERE"
"""
ESCAPES = "\x1b[2J\r\nsecond line"


def row(number: int, **changes: Any) -> dict[str, Any]:
    usual = {
        "number": number, "at": 1_764_000_000_000 + number, "status": "delivered", "reason": "", "name": "Lead",
        "id": f"id-{number}", "site": "shop", "pixel": "1", "browser_copy": "fired", "findings": [],
        "action_source": "website",
    }  # fmt: skip
    return usual | changes


@dataclass
class Ledger:
    """A stand-in for the proxy's list: its newest events, or those after a number."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        if wanted.since is None:
            return [each for each in reversed(self.rows) if _is_asked_for(each, wanted)][: wanted.limit]
        return [each for each in self.rows if each["number"] > wanted.since][: wanted.limit]


def _is_asked_for(found: dict[str, Any], wanted: Filter) -> bool:
    words = {key: getattr(wanted, key) for key in ("status", "pixel", "site", "id", "name", "reason")}
    copies = {"": {"fired", "blocked", ""}, "server": {""}}.get(wanted.browser_copy, {wanted.browser_copy})
    return found["browser_copy"] in copies and all(found[key] == word for key, word in words.items() if word)


@given(st.lists(st.integers(0, 30), max_size=5), st.integers(0, 20), st.sampled_from(["", "Lead", "Purchase"]))
async def test_each_event_is_shown_once_and_in_order(bursts: list[int], lines: int, name: str) -> None:
    """However many events come between two requests, the last and all later ones of the name are shown in order."""
    ledger = Ledger([row(number, name="Purchase" if number % 3 else "Lead") for number in range(1, 12)])
    tailed = Tail(ledger, Filter(name=name))
    shown = list(await tailed.last(lines))
    for burst in bursts:
        first = len(ledger.rows) + 1
        ledger.rows += [row(first + step, name="Purchase" if step % 2 else "Lead") for step in range(burst)]
        shown += await tailed.more()
    chosen = [each["number"] for each in ledger.rows if name in {"", each["name"]}]
    before = [number for number in chosen if number <= 11]

    assert [each["number"] for each in shown] == [*before[max(0, len(before) - lines) :], *chosen[len(before) :]]


async def test_more_than_a_page_at_once_is_shown_whole() -> None:
    """After a flood, or a long interruption, no event is left out."""
    ledger = Ledger([row(1)])
    tailed = Tail(ledger, Filter())
    await tailed.last(0)
    ledger.rows += [row(number) for number in range(2, 2503)]

    assert [each["number"] for each in await tailed.more()] == list(range(2, 2503))
    assert await tailed.more() == []


async def test_the_last_of_a_rare_kind_are_found_among_many_others() -> None:
    """As many lines as requested are shown at first, however long ago these events ended."""
    ledger = Ledger([row(number, name="Purchase" if number % 500 == 0 else "Lead") for number in range(1, 3001)])

    assert [each["number"] for each in await Tail(ledger, Filter(name="Purchase")).last(4)] == [1500, 2000, 2500, 3000]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(status=Status.DEAD), [2]),
        (Filter(pixel="9"), [3]),
        (Filter(browser_copy="server"), [4]),
        (Filter(browser_copy="blocked"), [5]),
        (Filter(site="shop", id="id-1"), [1]),
        (Filter(reason="gpc"), [6]),
    ],
)
async def test_what_is_chosen_is_shown_alone(wanted: Filter, numbers: list[int]) -> None:
    """Each filter option works as it does for the command ``events``."""
    rows = [
        row(1), row(2, status="dead"), row(3, pixel="9"), row(4, browser_copy=""), row(5, browser_copy="blocked"),
        row(6, reason="gpc"),
    ]  # fmt: skip
    tailed = Tail(Ledger(), wanted)
    await tailed.last(10)
    tailed = Tail(Ledger(rows), wanted)

    assert [each["number"] for each in await tailed.last(10)] == numbers


@asynccontextmanager
async def serving(ledger: Ledger, port: int) -> AsyncIterator[None]:
    """Answer as an operator listener does."""

    async def events(request: web.Request) -> web.Response:
        since = request.query.get("since")
        wanted = Filter(since=int(since) if since else None, limit=int(request.query["limit"]))
        body = orjson.dumps({"events": await ledger.events(wanted), "below": None})
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/events", events)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def _line(stream: asyncio.StreamReader | None) -> str:
    assert stream
    return (await asyncio.wait_for(stream.readline(), 60)).decode().rstrip("\n")


@asynccontextmanager
async def tailing(directory: Path, port: int, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    file = directory / "c.toml"
    file.write_text(CONFIG.format(port=port))
    async with following(file, *options) as process:
        yield process


@asynccontextmanager
async def following(file: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "tail", "--config", str(file), *options),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_restart_of_the_proxy_ends_nothing_and_ctrl_c_is_quiet(tmp_path: Path) -> None:
    """It says once that the proxy is away and once that it is back, shows the events between; Ctrl-C ends it with 0."""
    ledger, port = Ledger([row(1, id=ESCAPES)]), free_port()
    stack = AsyncExitStack()
    async with serving(ledger, port):
        process = await stack.enter_async_context(tailing(tmp_path, port))
        first = await _line(process.stdout)
        ledger.rows.append(row(2))
        second = await _line(process.stdout)
    away = await _line(process.stderr)
    ledger.rows.append(row(3))
    async with serving(ledger, port):
        third, back = await _line(process.stdout), await _line(process.stderr)
        process.send_signal(signal.SIGINT)
        out, error = await asyncio.wait_for(process.communicate(), 60)
    await stack.aclose()

    assert first.isprintable()
    assert "\\u001b[2J" in first
    assert ["id-2" in second, "id-3" in third] == [True, True]
    assert (away, back) == ("the proxy does not answer; waiting for it", "the proxy answers again")
    assert (process.returncode, out, error) == (0, b"", b"")


async def test_a_real_proxy_is_followed_over_its_restart(tmp_path: Path) -> None:
    """Events that the proxy delivers before and after a restart are shown in order, each once."""
    async with simulator() as graph, AsyncExitStack() as stack, aiohttp.ClientSession() as session:
        machine = Machine(tmp_path / "proxy", graph)

        async def send(name: str) -> str:
            body = orjson.dumps(wire({"name": "PageView", "id": name, "pixels": list(machine.pixels)}))
            address = f"{machine.public}{machine.prefix}/e"
            async with session.post(address, data=body, headers=browser_headers()) as answer:
                assert answer.status == 204
            return name

        await machine.start()
        process = await stack.enter_async_context(following(machine.config, "--json"))
        sent, shown = [await send("before")], [await _line(process.stdout)]
        await machine.terminate()
        away = await _line(process.stderr)
        await machine.start()
        for name in ("after", "last"):
            sent.append(await send(name))
            shown.append(await _line(process.stdout))
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        await machine.terminate()

    assert [orjson.loads(line)["id"] for line in shown] == sent
    assert (away, process.returncode, out) == ("the proxy does not answer; waiting for it", 0, b"")


async def test_each_line_of_json_is_an_event(tmp_path: Path) -> None:
    """With --json each line is a whole event as the API has it, printed at once and not when a buffer is full."""
    ledger, port = Ledger([row(1), row(2)]), free_port()
    async with serving(ledger, port), tailing(tmp_path, port, "--json", "-n", "1") as process:
        first = await _line(process.stdout)
        ledger.rows.append(row(3, id=ESCAPES))
        second = await _line(process.stdout)

    assert orjson.loads(first) == ledger.rows[1]
    assert orjson.loads(second) == ledger.rows[2]


async def test_without_a_proxy_it_says_so(tmp_path: Path) -> None:
    """If no proxy runs, it says that no event can come, and names the command that lists the stored events."""
    port = free_port()
    async with tailing(tmp_path, port) as process:
        out, error = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, out) == (1, b"")
    assert b"no proxy runs" in error
    assert f"127.0.0.1:{port}".encode() in error
    assert b"capi-proxy events" in error
