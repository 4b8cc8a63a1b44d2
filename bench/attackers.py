"""Strangers without credentials, each with one way to do harm; every one is bounded in count and time.

Run as a process of its own (``python bench/attackers.py NAME --port N --seconds S``), so that what an attack costs the
attacker does not slow down the honest visitors it is measured beside.

More than 250 lines: a list of attacks, each complete where it stands.
"""

import asyncio
import itertools
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import click
from rig import browser_headers

Event: TypeAlias = dict[str, object]
ADDRESS = "127.0.0.66"
"""Where all attacks come from; honest visitors have other addresses of loopback."""
_PIXEL = "1001"
_BODY = 65_536
_answers: Counter[str] = Counter()


# -- requests


def body(events: list[Event], **members: object) -> bytes:
    """Return a browser's body with these events, whose common members are filled in."""
    now = time.time_ns() // 1_000_000
    filled = [{"at": now, "pixels": [_PIXEL], "data": {}, "pixel": "fired", **event} for event in events]
    document = {"v": 1, "sent": now, "url": "https://www.shop.example/", "consent": "granted", "events": filled}
    return json.dumps({**document, **members}, separators=(",", ":"), ensure_ascii=False).encode()


def request(content: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole request that brings a body."""
    usual = {name: value for name, value in browser_headers().items() if name != "X-Forwarded-For"}
    lines = {"Host": "t.shop.example", "Content-Length": str(len(content)), **usual, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /bench/e HTTP/1.1\r\n{head}\r\n".encode() + content


def filled(make: Callable[[int], Event], **members: object) -> bytes:
    """Return a body with as many events as fit into 64 KiB."""
    room = _BODY - len(body([], **members)) - 100
    events: list[Event] = []
    for number in itertools.count():
        event = make(number)
        room -= len(body([event])) - len(body([])) + 1
        if room < 0:
            return body(events, **members)
        events.append(event)
    raise AssertionError


# -- connections


class Connection:
    """A keep-alive connection that is opened again when the proxy closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None
        self._reader = asyncio.StreamReader()

    async def send(self, content: bytes) -> None:
        """Send a request and count the status of its answer."""
        try:
            if self._writer is None:
                self._reader, self._writer = await opened(self._port)
            self._writer.write(content)
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 30)
            _answers[head.split(b" ", 2)[1].decode()] += 1
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            await self._reader.readexactly(length)
            if b"\r\nconnection: close" in head.lower():
                self.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            _answers[type(error).__name__] += 1
            self.close()
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Hang up."""
        if self._writer:
            self._writer.close()
        self._writer = None


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect from the attackers' address."""
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))


async def at_rate(port: int, rate: float, seconds: float, requests: Iterator[bytes]) -> None:
    """Send so many requests a second, over a few connections."""
    connections = [Connection(port) for _ in range(8)]
    started = time.monotonic()
    for number, content in enumerate(requests):
        await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        if time.monotonic() - started > seconds:
            break
        await connections[number % len(connections)].send(content)


# -- attacks


def _named(name: str, turn: str, number: int) -> Event:
    return {"name": name, "id": f"{turn}-{number}"}


def _foreign(turn: str, number: int) -> Event:
    pixels = [str(10**18 + pixel) for pixel in range(8)]
    return {"name": "n" * 90, "id": f"{turn}-{number}-{'i' * 60}", "pixels": pixels}


async def bad_events(port: int, seconds: float) -> None:
    """A full body of events that only Graph can recognise as bad, then three such events a second."""

    def requests() -> Iterator[bytes]:
        for number in itertools.count():
            count = 200 if number == 0 else 1
            events: list[Event] = [
                {"name": "Purchase", "id": f"bad-{number}-{step}", "data": {"value": 1, "currency": "EUR"}}
                for step in range(count)
            ]
            yield request(body(events))

    await at_rate(port, 3, seconds, requests())


async def large_rows(port: int, seconds: float) -> None:
    """Bodies of 64 KiB whose every event would repeat all match keys, a long user agent and long addresses."""
    match = {_PIXEL: {key: [f"{key}{n}@example.com" for n in range(16)] for key in ("em", "external_id", "fn", "ln")}}
    long = {"url": "https://www.shop.example/" + "a" * 8000, "referrer": "https://www.shop.example/" + "b" * 8000}

    def requests() -> Iterator[bytes]:
        for turn in itertools.count():
            content = filled(partial(_named, "V", f"{turn}"), match=match, **long)
            yield request(content, {"User-Agent": "Mozilla/5.0 " + "x" * 7000})

    await at_rate(port, max(1.0, 60 / seconds), seconds, requests())


async def costly_text(port: int, seconds: float) -> None:
    """Four bodies a second, each full of text that looks like contact data everywhere."""
    texts = (
        "+49 30 1234567 " * 4000,
        "DE89 3704 0044 0532 0130 00 " * 2200,
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 2300,
        "1." * 30_000,
        "\ufdfa" * 20_000,
        "a@b.c " * 10_000,
        "%2B%34%39" * 6_500,
    )

    def requests() -> Iterator[bytes]:
        for number, text in enumerate(itertools.cycle(texts)):
            event: Event = {"name": "Lead", "id": f"text-{number}", "data": {"content_name": text[:61_000]}}
            content = body([event], match={_PIXEL: {"db": "." * 500, "ph": text[:1000]}})
            yield request(content[:_BODY] if len(content) <= _BODY else body([{**event, "data": {"a": text[:19_000]}}]))

    await at_rate(port, 4, seconds, requests())


async def odd_numbers(port: int, seconds: float) -> None:
    """Fifty bodies a second, each with a number that our JSON writers cannot write, and with a good event beside it."""

    def requests() -> Iterator[bytes]:
        for number in itertools.count():
            bad = body(
                [
                    {"name": "Lead", "id": f"odd-{number}", "data": {"num_items": 0}},
                    {"name": "Lead", "id": f"even-{number}"},
                ]
            )
            yield request(bad.replace(b'"num_items":0', b'"num_items":1e20'))

    await at_rate(port, 50, seconds, requests())


async def silent(port: int, seconds: float, count: int = 5000) -> None:
    """Thousands of connections that never send a byte; each is opened again when the proxy closes it."""
    await _hold_open(port, seconds, count, lambda: b"", every=1.0)


async def dripping(port: int, seconds: float) -> None:
    """A thousand connections that send a request a byte at a time."""
    await _hold_open(port, seconds, 1000, lambda: b"P", every=1.0)


async def unfinished_headers(port: int, seconds: float) -> None:
    """Four hundred connections whose header block is large and never ends."""
    line = b"X-Filler: " + b"y" * 7000 + b"\r\n"
    await _hold_open(port, seconds, 400, lambda: line, every=0.05, first=b"GET / HTTP/1.1\r\nHost: a\r\n")


async def _hold_open(  # noqa: PLR0913 - how many connections say what, how often
    port: int, seconds: float, count: int, drip: Callable[[], bytes], *, every: float, first: bytes = b""
) -> None:
    end = time.monotonic() + seconds

    async def keep_connecting() -> None:
        while time.monotonic() < end:
            try:
                reader, writer = await opened(port)
            except OSError as error:
                _answers[type(error).__name__] += 1
                await asyncio.sleep(0.5)
                continue
            _answers["connected"] += 1
            with suppress(OSError):
                writer.write(first)
                while time.monotonic() < end and not reader.at_eof():
                    writer.write(drip())
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(4096), every)
            writer.close()

    await asyncio.gather(*(keep_connecting() for _ in range(count)))


async def pipelining(port: int, seconds: float) -> None:
    """Five hundred connections, each with four hundred requests sent at once and no answer read for five seconds."""
    end = time.monotonic() + seconds
    burst = b"GET /bench/m.js HTTP/1.1\r\nHost: t.shop.example\r\n\r\n" * 400

    async def keep_asking() -> None:
        while time.monotonic() < end:
            with suppress(OSError, TimeoutError):
                reader, writer = await opened(port)
                _answers["connected"] += 1
                writer.write(burst)
                await asyncio.sleep(5)
                while await asyncio.wait_for(reader.read(1 << 20), 1):
                    pass
                writer.close()
            await asyncio.sleep(0.1)

    await asyncio.gather(*(keep_asking() for _ in range(500)))


async def flood(port: int, seconds: float) -> None:
    """One client that sends forged purchases as fast as it is answered, over 64 connections."""
    end = time.monotonic() + seconds
    numbers = itertools.count()

    async def keep_sending() -> None:
        connection = Connection(port)
        while time.monotonic() < end:
            number = next(numbers)
            event: Event = {"name": "Purchase", "id": f"forged-{number}", "data": {"value": 0.01, "currency": "EUR"}}
            await connection.send(request(body([event])))
        connection.close()

    await asyncio.gather(*(keep_sending() for _ in range(64)))


async def unknown_pixels(port: int, seconds: float) -> None:
    """Bodies full of pixels that the site does not list, 2.5 MB in all at first, then a few each second."""

    def requests() -> Iterator[bytes]:
        for turn in itertools.count():
            yield request(filled(partial(_foreign, f"{turn}")))

    first = itertools.islice(requests(), 40)
    await at_rate(port, 40, 10, first)
    await at_rate(port, 4, seconds - 5, requests())


ATTACKS: dict[str, Callable[[int, float], Coroutine[object, object, None]]] = {
    attack.__name__: attack
    for attack in (
        bad_events,
        large_rows,
        costly_text,
        odd_numbers,
        silent,
        dripping,
        unfinished_headers,
        pipelining,
        flood,
        unknown_pixels,
    )
}


@click.command()
@click.argument("name", type=click.Choice(sorted(ATTACKS)))
@click.option("--port", type=int, required=True)
@click.option("--seconds", type=float, default=60.0, show_default=True)
def main(name: str, port: int, seconds: float) -> None:
    """Attack the proxy on a port of loopback."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(ATTACKS[name](port, seconds))
    print(json.dumps(dict(_answers)))


if __name__ == "__main__":
    main()
