"""What bad requests of servers cost visitors: the p99 of 200 browser events a second, alone and beside each kind.

The requests of a kind come one after another without a pause, from one client, each with as large a body as allowed.
All are answered with an error or not at all, and nothing of them is stored. Only the ratio to the quiet slice of the
same round means something. ``python bench/server_attacks.py [--quick]``.
"""

import asyncio
import gzip
import hashlib
import hmac
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

import click
import rig
from apart import apart
from server_events import KEY, MOST_RATIO, visitors

_SECRET = "whsec-bench"  # noqa: S105 - of a proxy that lives for a minute
_SITE = f'[[site]]\naccess_keys = ["{KEY}"]\nwebhook = [{{kind = "stripe", secret = "{_SECRET}"}}]\n'
_EVENTS, _HOOK = "/v26.0/1001/events", "/hooks/shop/stripe"
_PIECE = 1 << 20
_SLOW = "slow bodies"
_REFUSED = ("400", "401", "408", "413", "429", "503", "cut")
Request: TypeAlias = Callable[[], Iterator[bytes]]
"""Makes one request, in the pieces in which it is written."""


class Beside(NamedTuple):
    """The visitors' latencies in one slice, and the answers that the bad requests got."""

    p50_ms: float
    p99_ms: float
    answers: Counter[str]
    """How many requests were answered with each status; ``cut`` where the connection was closed."""


def _head(path: str, size: int | None, *lines: str) -> bytes:
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: t.shop.example", length, *lines, "", "")).encode()


def _events(count: int, filling: int = 0) -> bytes:
    now = int(time.time())
    person, words = {"em": f"{7:064x}"}, {"value": 1, "currency": "EUR", "note": "x" * filling}
    event = {"event_name": "Purchase", "event_time": now, "action_source": "website", "user_data": person}
    return json.dumps({"data": [{**event, "event_id": f"n-{n}", "custom_data": words} for n in range(count)]}).encode()


def _asked(path: str, body: bytes, *lines: str) -> Request:
    def request() -> Iterator[bytes]:
        yield _head(path, len(body), "Content-Type: application/json", *lines)
        for start in range(0, len(body), _PIECE):
            yield body[start : start + _PIECE]

    return request


def _signature(body: bytes, age_s: int = 0) -> str:
    at = int(time.time()) - age_s
    return (
        f"Stripe-Signature: t={at},v1={hmac.new(_SECRET.encode(), b'%d.%b' % (at, body), hashlib.sha256).hexdigest()}"
    )


def _endless() -> Iterator[bytes]:
    """Yield a request whose 64 MB are chunked, so that no length is announced."""
    yield _head(f"{_EVENTS}?access_token={KEY}", None, "Content-Type: application/json")
    piece = b"%x\r\n%b\r\n" % (_PIECE, b" " * _PIECE)
    for _ in range(64):
        yield piece


def kinds() -> dict[str, Request]:
    """Return the bad requests, with what is bad about them as the key."""
    keyed = f"{_EVENTS}?access_token={KEY}"
    large, hook = (
        _events(1000, 6000),
        json.dumps({"id": "evt_1", "type": "x", "data": {}, "note": "x" * 60_000}).encode(),
    )
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]", 9)
    return {
        "wrong key": _asked(_EVENTS, large, "Authorization: Bearer " + "0" * 32),
        "no key": _asked(_EVENTS, large),
        "wrong signature": _asked(_HOOK, hook, "Stripe-Signature: t=1,v1=" + "0" * 64),
        "replayed hook": _asked(_HOOK, hook, _signature(hook, 3600)),
        "64 MB announced": _asked(keyed, b" " * (64 << 20)),
        "64 MB of no length": _endless,
        "gzip bomb": _asked(keyed, bomb, "Content-Encoding: gzip"),
        "1,001 events": _asked(keyed, _events(1001, 6000)),
        "deep JSON": _asked(keyed, b'{"data":' + b"[" * (8 << 20)),
    }


async def _exchange(port: int, pieces: AsyncIterator[bytes], answers: Counter[str]) -> None:
    """Send a request on a connection of its own until it is answered, and count the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(reader.read(12))
    try:
        async for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if answer.done():
                break
        answers[(await answer)[9:].decode() or "cut"] += 1
    except OSError:
        answers["cut"] += 1
    finally:
        answer.cancel()
        await asyncio.wait([answer])
        if not answer.cancelled():
            answer.exception()
        writer.close()


async def _at_once(request: Request) -> AsyncIterator[bytes]:
    for piece in request():
        yield piece


async def _again(request: Request, port: int, answers: Counter[str]) -> None:
    while True:
        await _exchange(port, _at_once(request), answers)


async def _dripping(port: int, answers: Counter[str]) -> None:
    """Hold fifty connections whose bodies come a byte at a time, and open another for each that ends."""

    async def drops() -> AsyncIterator[bytes]:
        yield _head(f"{_EVENTS}?access_token={KEY}", 1_000_000)
        while True:
            yield b" "
            await asyncio.sleep(0.2)

    async def drip() -> None:
        while True:
            await _exchange(port, drops(), answers)

    await asyncio.gather(*(drip() for _ in range(50)))


async def attack(ready: Callable[[], None], end: asyncio.Event, port: int, kind: str) -> Counter[str]:
    """Send bad requests of a kind again and again; return how many were answered with each status.

    Args:
        ready: Called when the first one can be sent.
        end: Set when no more shall be sent.
        port: The proxy's.
        kind: What is bad about them.
    """
    answers = Counter[str]()
    work = _dripping(port, answers) if kind == _SLOW else _again(kinds()[kind], port, answers)
    ready()
    task = asyncio.ensure_future(work)
    ended = asyncio.ensure_future(end.wait())
    await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return answers


async def measured(tag: str, *, machine: rig.PinnedMachine, kind: str, seconds: float) -> Beside:
    """Measure visitors beside a kind of request.

    Args:
        tag: Begins the ids of their events.
        machine: The proxy.
        kind: What is bad about the requests; empty for none.
        seconds: How long.
    """
    if not kind:
        latencies, answers = await visitors(machine, tag, seconds), Counter[str]()
    else:
        async with apart(attack, machine.port, kind) as attacker:
            latencies = await visitors(machine, tag, seconds)
            answers = await attacker.end()
    return Beside(rig.percentile(latencies, 0.5), rig.percentile(latencies, 0.99), answers)


async def run(rounds: int, seconds: float) -> None:
    """Measure all kinds of bad request in turn, and print the table."""
    rig.start()
    with rig.workplace() as directory:
        machine = rig.PinnedMachine(directory / "proxy", "http://127.0.0.1:9")
        machine.config.write_text(machine.config.read_text().replace("[[site]]\n", _SITE, 1))
        names = {"quiet": "", **{name: name for name in (*kinds(), _SLOW)}}
        async with rig.running(machine):
            how = partial(measured, machine=machine, seconds=seconds)
            variants = {name: partial(how, kind=kind) for name, kind in names.items()}
            found = await rig.rounds(variants, [machine], count=rounds)
            show(found, machine.memory_mb(peak=True))


def show(found: dict[str, list[Beside]], peak_mb: float) -> None:
    """Print the table."""
    rows, worst = [], 0.0
    for name, taken in found.items():
        ratio = statistics.median(one.p99_ms / quiet.p99_ms for one, quiet in zip(taken, found["quiet"], strict=True))
        answers = sum((slice_.answers for slice_ in taken), Counter[str]())
        p50, p99 = (statistics.median(values) for values in zip(*(one[:2] for one in taken), strict=True))
        rows.append(
            (name, f"{p50:.1f}", f"{p99:.1f}", f"{ratio:.2f}", ", ".join(f"{n} x {s}" for s, n in answers.items()))
        )
        worst = max(worst, ratio)
        if wrong := [status for status in answers if status not in _REFUSED]:
            raise RuntimeError(f"{name}: answered {wrong}")
    rig.table(("beside", "p50 ms", "p99 ms", "ratio", "answers"), rows)
    print(f"peak memory of the proxy: {peak_mb:.0f} MB")
    rig.goal("p99 of browser events beside the worst, to quiet", worst, MOST_RATIO, most=True)


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A look within three minutes.")
def main(*, quick: bool) -> None:
    """Run it."""
    asyncio.run(run(*(2, 4.0) if quick else (7, 8.0)))


if __name__ == "__main__":
    main()
