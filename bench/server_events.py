"""What servers cost visitors: the p99 of 200 browser events a second, alone and beside 1,000 server events of 7 MB.

The large body is what Meta's Python SDK makes of 1,000 Purchases with 30 goods each: a form with a JSON list of JSON
texts. It is sent every other second, or again as soon as it was answered. Only the ratio to the quiet slice of the same
round means something. ``python bench/server_events.py [--quick]``.
"""

import asyncio
import http.client
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import NamedTuple
from urllib.parse import urlencode

import click
import rig
from apart import apart
from open_load import dues

KEY = "c3a5e1f09b7d42688e0fa2b4d6c81357"
RATE = 200.0
CONNECTIONS = 64
MOST_RATIO = 2.0
_MARK = "M@RK"
_GOODS = 30
_PATIENCE_S = 30.0
_MOST_REQUESTS = 1000
"""Large requests of a slice, at most."""


class Measured(NamedTuple):
    """The visitors' latencies in one slice, and the answers to the large requests."""

    p50_ms: float
    p99_ms: float
    answered: int
    """How many large requests were answered."""
    answer_ms: float
    """The median of their answer times."""


def large_body() -> bytes:
    """Return 1,000 events in a form; each id begins with a mark that is replaced for each request."""
    now = int(time.time())
    texts = [json.dumps(_purchase(number, now)) for number in range(1000)]
    return urlencode({"partner_agent": "bench", "data": json.dumps(texts)}).encode()


def _purchase(number: int, now: int) -> dict[str, object]:
    goods = [
        {"id": f"sku-{number}-{place}", "quantity": 1, "item_price": 9.95, "title": f"Cardigan in the colour {place}"}
        for place in range(_GOODS)
    ]
    return {
        "event_name": "Purchase",
        "event_time": now,
        "event_id": f"{_MARK}-{number}",
        "event_source_url": "https://www.shop.example/thank-you",
        "action_source": "website",
        "user_data": {
            "em": [f"{number:064x}"],
            "ph": [f"{number + 7:064x}"],
            "external_id": [f"customer-{number}"],
            "client_ip_address": "93.184.216.34",
            "client_user_agent": rig.browser_headers()["User-Agent"],
            "fbp": f"fb.1.1763000000000.{number + 1_000_000}",
        },
        "custom_data": {"value": 298.5, "currency": "eur", "order_id": f"{_MARK}{number}", "contents": goods},
    }


async def large_requests(
    ready: Callable[[], None], end: asyncio.Event, port: int, first: int, every_s: float
) -> list[float]:
    """Send large requests one after another, and return in how many milliseconds each was answered.

    Args:
        ready: Called when the first one can be sent.
        end: Set when the one under way shall be the last.
        port: The proxy's.
        first: The number of the first one, from which its event ids are made.
        every_s: The least seconds from one to the next.
    """
    template, taken = large_body(), list[float]()
    ready()
    for number in count(first):
        started = time.monotonic()
        # The mark as it is encoded in a form. Its replacement is of the same length, so one pass makes the body.
        taken.append(await asyncio.to_thread(_post, port, template.replace(b"M%40RK", b"n%05d" % number)))
        with suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), max(0.0, started + every_s - time.monotonic()))
        if end.is_set():
            break
    return taken


def _post(port: int, body: bytes) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/v26.0/1001/events?access_token={KEY}", body, headers)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    if document.get("events_received") != 1000:
        raise RuntimeError(f"the proxy answered {answer.status}: {document}")
    return (time.perf_counter() - started) * 1e3


async def visitors(machine: rig.PinnedMachine, tag: str, seconds: float) -> list[float]:
    """Send browser events at random moments; return the milliseconds from each moment to the answer."""
    connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        connections.put_nowait(await asyncio.open_connection("127.0.0.1", machine.port))
    started, latencies, tasks = time.perf_counter(), list[float](), list[asyncio.Task[None]]()

    async def visit(number: int, due: float) -> None:
        reader, writer = connection = await connections.get()
        writer.write(rig.post(machine.port, rig.visit(f"{tag}-{number:06d}", "1001")))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 204"):
            raise RuntimeError(f"the proxy answered {head[:80]!r}")
        latencies.append((time.perf_counter() - started - due) * 1e3)
        connections.put_nowait(connection)

    for number, due in enumerate(dues(RATE, seconds, random.Random(tag))):
        await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
        tasks.append(asyncio.create_task(visit(number, due)))
    await asyncio.wait_for(asyncio.gather(*tasks), _PATIENCE_S)
    while not connections.empty():
        connections.get_nowait()[1].close()
    return latencies


async def measured(
    tag: str, *, machine: rig.PinnedMachine, numbers: Iterator[int], every_s: float | None, seconds: float
) -> Measured:
    """Measure the visitors' latencies while large requests are sent.

    Args:
        tag: The beginning of the visitors' event ids.
        machine: The proxy.
        numbers: The first number of the large requests of each slice.
        every_s: The least seconds from one large request to the next; None for none at all.
        seconds: The length of the slice.
    """
    if every_s is None:
        latencies, taken = await visitors(machine, tag, seconds), []
    else:
        async with apart(large_requests, machine.port, next(numbers), every_s) as sender:
            latencies = await visitors(machine, tag, seconds)
            taken = await sender.end()  # answered only after all earlier requests, so none reaches into the next slice
    p50, p99 = rig.percentile(latencies, 0.5), rig.percentile(latencies, 0.99)
    return Measured(p50, p99, len(taken), statistics.median(taken) if taken else 0.0)


WORKS = {"quiet": None, "every 2 s": 2.0, "without a pause": 0.0}


async def run(rounds: int, seconds: float) -> None:
    """Measure all works in turn, and print the table."""
    rig.start()
    with rig.workplace() as directory:
        # No Graph answers at this address: only the reception of events is measured.
        machine = rig.PinnedMachine(directory / "proxy", "http://127.0.0.1:9")
        text = machine.config.read_text().replace("[[site]]\n", f'[[site]]\naccess_keys = ["{KEY}"]\n', 1)
        machine.config.write_text(text)
        async with rig.running(machine):
            how = partial(measured, machine=machine, numbers=count(0, _MOST_REQUESTS), seconds=seconds)
            variants = {name: partial(how, every_s=every_s) for name, every_s in WORKS.items()}
            found = await rig.rounds(variants, [machine], count=rounds)
            show(found, len(large_body()), machine.memory_mb(peak=True))


def show(found: dict[str, list[Measured]], size: int, peak_mb: float) -> None:
    """Print the table."""
    print(f"1,000 server events of {size / 1e6:.1f} MB beside {RATE:.0f} browser events/s")
    rows = []
    for name, taken in found.items():
        pairs = zip(taken, found["quiet"], strict=True)
        ratio = statistics.median(slice_.p99_ms / quiet.p99_ms for slice_, quiet in pairs)
        p50, p99, requests, ms = (statistics.median(values) for values in zip(*taken, strict=True))
        rows.append((name, f"{p50:.1f}", f"{p99:.1f}", f"{ratio:.2f}", f"{requests:.0f}", f"{ms:.0f}"))
    rig.table(("beside", "p50 ms", "p99 ms", "ratio", "requests", "answered in ms"), rows)
    print(f"peak memory of the proxy: {peak_mb:.0f} MB")
    rig.goal("p99 of browser events beside them, to quiet", float(rows[1][3]), MOST_RATIO, most=True)


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A look within two minutes.")
def main(*, quick: bool) -> None:
    """Run it."""
    asyncio.run(run(*(2, 4.0) if quick else (9, 10.0)))


if __name__ == "__main__":
    main()
