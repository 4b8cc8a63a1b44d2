"""The search for contact data in everything that a run of the proxy leaves behind, in clear and encoded."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import aiohttp
from commands_here import invoke_beside
from machine import Machine
from support import get_json, until

OPERATOR = (
    *("/", "/login", "/metrics", "/readyz", "/api/session", "/api/status", "/api/overview", "/api/alerts"),
    *("/api/events?limit=1000", "/api/waiting?limit=1000", "/api/dead?limit=1000", "/api/dead/export"),
    *("/api/pixels", "/api/sources", "/api/suppressions?limit=1000"),
)
"""The paths of everything that the operator listener answers."""


@dataclass(frozen=True)
class Traces:
    """Everything that a run left behind, by its place."""

    places: Mapping[str, bytes]
    at_graph: bytes


def disguises(text: str) -> Iterator[bytes]:
    """Yield the encodings in which a text may occur: plain, percent-encoded, hex, base64, a hash's bytes."""
    plain = text.encode()
    for form in (plain, quote(text).encode(), quote(text, safe="").encode(), plain.hex().encode()):
        yield form.lower()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + plain)
        # The first and last characters depend on the neighbouring bytes.
        yield whole[-(-before * 8 // 6) : len(whole) // 4 * 4 - 4]
        yield base64.urlsafe_b64encode(b"\0" * before + plain)[-(-before * 8 // 6) : len(whole) // 4 * 4 - 4]
    if len(text) == 64:
        yield bytes.fromhex(text)


def sought(planted: Mapping[str, str], haystack: bytes) -> set[str]:
    """Return the names of the planted texts that occur in some bytes, in whatever encoding and case."""
    lower = haystack.lower()
    # A form with capitals is base64, where case matters, or a digest.
    return {
        what
        for what, text in planted.items()
        if any(form in (lower if form == form.lower() else haystack) for form in disguises(text))
    }


async def told_by_operator(session: aiohttp.ClientSession, machine: Machine) -> dict[str, bytes]:
    """Return everything that the operator listener answers, by path."""
    told = {}
    for path in OPERATOR:
        async with session.get(machine.operator + path) as answer:
            told[path] = await answer.read()
    return told


async def stories(session: aiohttp.ClientSession, machine: Machine) -> dict[str, bytes]:
    """Return the story of each event that is listed as finished or waiting."""
    told = {}
    for kind in ("events", "waiting"):
        for event in (await get_json(session, f"{machine.operator}/api/{kind}?limit=1000"))[kind]:
            query = {key: event[key] for key in ("pixel", "name", "id")}
            async with session.get(f"{machine.operator}/api/event", params=query) as answer:
                told[f"story of {event['name']} {event['id']} {event['pixel']}"] = await answer.read()
    return told


@asynccontextmanager
async def overheard(session: aiohttp.ClientSession, machine: Machine) -> AsyncIterator[bytearray]:
    """Yield what the operator listener's stream sends, as it grows."""
    heard = bytearray()

    async def listen(answer: aiohttp.ClientResponse) -> None:
        async for chunk in answer.content.iter_any():
            heard.extend(chunk)

    async with session.get(f"{machine.operator}/api/stream") as answer:
        listening = asyncio.create_task(listen(answer))
        await until(lambda: b"event: status" in heard, what="the stream's first word")
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def fault(session: aiohttp.ClientSession, graph: str, **order: object) -> None:
    """Make the simulator answer with a fault from now on."""
    async with session.post(f"{graph}/sim/faults", json=order) as answer:
        assert answer.status == 200


async def paused(session: aiohttp.ClientSession, machine: Machine) -> None:
    """Wait until a lane is paused and has waiting events."""

    async def is_paused() -> bool:
        status = await get_json(session, f"{machine.operator}/api/status")
        return any(lane["paused"] and lane["waiting"] for lane in status["lanes"])

    await until(is_paused, what="a pause")


async def said(machine: Machine, *words: str) -> bytes:
    """Run a command; return all that it prints and logs."""
    with _logged() as lines:
        done = await invoke_beside(*words, "--config", str(machine.config))
    return f"{done.output}{lines.getvalue()}".encode()


@contextmanager
def _logged() -> Iterator[StringIO]:
    lines, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(lines), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def files(directory: Path, when: str) -> dict[str, bytes]:
    """Read the data directory's files; zeros at the ends, of which the ballast consists, are removed."""
    return {f"{path.name} {when}": path.read_bytes().strip(b"\0") for path in directory.rglob("*") if path.is_file()}
