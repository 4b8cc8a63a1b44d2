"""What the benches share: two cores, a proxy as a process of its own, wrk with a browser's headers, tables.

The machine's speed varies with time, so only ratios of slices taken in turn within one run are results. A round in
which other programs used much of the machine is thrown away and taken again.

More than 250 lines: the parts of one measurement (core, load, rounds, tables) are read together.
"""

import asyncio
import json
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
# At the end of the path, so that PYTHONPATH can point the benches at another copy of the proxy.
sys.path += [str(ROOT), str(ROOT / "tests")]

import machine  # noqa: E402 - found by the line before

_CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = _CORES[0], _CORES[-1]
SECRET = machine.SECRET
_TICKS = os.sysconf("SC_CLK_TCK")
_Taken = TypeVar("_Taken")
_FOREIGN_MOST = 0.25
"""The cores that other programs may use on average during a round, or the round is disturbed."""


def start() -> None:
    """Move this process, and so the load generators that it starts, to the core for the load."""
    os.sched_setaffinity(0, {LOAD_CORE})


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield a new directory on the disk of the project (``/tmp`` may be memory, where fsync costs nothing)."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "build") as name:
        yield Path(name)


# -- the proxy


@dataclass
class PinnedMachine(machine.Machine):
    """A proxy on a core of its own; by default without limits, as a bench sends all it can from one address."""

    pixels: Sequence[str] = ("1001",)
    prefix: str = "/bench"
    timeout: float = 30.0
    program: Sequence[str] = ("-m", "proxy", "serve")
    """The arguments of the Python interpreter."""
    server: str = ""
    """More lines for the section ``[server]`` of the configuration."""

    def __post_init__(self) -> None:
        """Write the configuration."""
        super().__post_init__()
        self.config.write_text(self.config.read_text().replace("[server]\n", f"[server]\n{self.server}\n"))

    def command(self) -> tuple[str, ...]:
        """Return the command line."""
        return (sys.executable, *self.program, "--config", str(self.config))

    def environment(self) -> dict[str, str]:
        """Return an environment in which PYTHONPATH can name another copy of the proxy."""
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
        return {**os.environ, "PYTHONPATH": path}

    async def start(self) -> None:
        """Start the proxy and wait until it accepts events; then move all its threads to its core."""
        await super().start()
        for pid in (self.pid, *self.children().values()):
            pin(pid)

    async def check_all_stored(self) -> None:
        """Check that the proxy stored all events, since a 204 is also the answer to events that were dropped.

        Raises:
            RuntimeError: when an event had another result than "stored".
        """
        metrics = (await self._get(self.operator_port, "/metrics")).decode()
        counts = dict(re.findall(r"^capi_proxy_events_total\{(.*)\} (.*)$", metrics, re.MULTILINE))
        if set(counts) != {'reason="",result="stored"'}:
            raise RuntimeError(f"not every event was stored: {counts}")

    async def stop(self) -> None:
        """End the proxy as an operator would, if it runs."""
        if self.process and self.process.returncode is None:
            await self.terminate()
        self.process = None


def pin(pid: int, core: int = PROXY_CORE) -> None:
    """Move all threads of a process to a core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


@asynccontextmanager
async def running(*machines: PinnedMachine) -> AsyncIterator[None]:
    """Run several proxies at the same time; an idle one uses no processor time."""
    try:
        for machine in machines:
            await machine.start()
        yield
    finally:
        for machine in machines:
            await machine.stop()


# -- load

_LUA = """
local tag, count = "", 0
local head, tail = {head}, {tail}
init = function(args) tag = args[1] end
request = function()
  count = count + 1
  return head .. tag .. string.format("%08d", count) .. tail
end
"""
_SUMMARY = """
done = function(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format('\\n{"requests": %d, "us": %d, "p50": %f, "p99": %f, "wrong": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
"""
_TAG = 6
_BODY = 1024
_WORDS = "Merino Cardigan Navy with mother-of-pearl buttons, warm and light, made in Portugal. "


@dataclass(frozen=True)
class Slice:
    """The figures of one short measurement under load."""

    rate: float
    """Requests per second."""
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time of the proxy per request."""


def browser_headers() -> dict[str, str]:
    """Return the 18 headers of a browser's request, but Host and Content-Length."""
    return {
        "Connection": "keep-alive",
        "sec-ch-ua-platform": '"Windows"',
        "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/156.0.0.0 Safari/537.36",
        "sec-ch-ua": '"Chromium";v="156", "Not)A;Brand";v="8", "Google Chrome";v="156"',
        "Content-Type": "text/plain;charset=UTF-8",
        "sec-ch-ua-mobile": "?0",
        "Accept": "*/*",
        "Origin": "https://www.shop.example",
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        "Referer": "https://www.shop.example/",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "de-DE,de;q=0.9,en;q=0.8",
        "Cookie": "_fbp=fb.1.1763000000000.1098765432; _ga=GA1.1.1234567890.1763000000; "
        "session=9f86d081884c7d659a2feaa0c55ad015; consent=yes",
        "X-Forwarded-For": "93.184.216.34",
    }


def visit(identity: str, pixel: str, *, size: int = _BODY) -> bytes:
    """Return a browser's body with one event, ``size`` bytes long."""
    now = time.time_ns() // 1_000_000
    body = {
        "v": 1,
        "sent": now,
        "url": "https://www.shop.example/women/shoes/sneaker-white-42?utm_source=meta&utm_medium=paid&ref=9",
        "referrer": "https://www.shop.example/women/shoes",
        "fbp": "fb.1.1763000000000.1098765432",
        "consent": "granted",
        "events": [
            {
                "name": "ViewContent",
                "id": identity,
                "at": now - 40,
                "pixels": [pixel],
                "data": {
                    "content_ids": ["sku-10042", "sku-10043"],
                    "contents": [{"id": "sku-10042", "quantity": 1, "item_price": 79.9}],
                    "content_type": "product",
                    "value": 79.9,
                    "currency": "EUR",
                    "content_name": "",
                },
                "pixel": "fired",
            }
        ],
    }
    data: dict[str, object] = body["events"][0]["data"]  # type: ignore[index]
    room = size - len(json.dumps(body, separators=(",", ":")))
    data["content_name"] = (_WORDS * (room // len(_WORDS) + 1))[:room]
    return json.dumps(body, separators=(",", ":")).encode()


def post(port: int, body: bytes) -> bytes:
    """Return the request that brings a body to the proxy on this port."""
    headers = {"Host": f"t.shop.example:{port}", "Content-Length": str(len(body)), **browser_headers()}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /bench/e HTTP/1.1\r\n{head}\r\n".encode() + body


async def wrk(machine: PinnedMachine, tag: str, *, connections: int, seconds: float, pixel: str = "1001") -> Slice:
    """Load a proxy with requests that bring one event each; ``tag`` (at most 6 characters) keeps their ids fresh."""
    mark = "@" * (_TAG + 8)
    head, _, tail = post(machine.port, visit(mark, pixel)).decode().partition(mark)
    script = _LUA.format(head=json.dumps(head), tail=json.dumps(tail))
    return await wrk_with(machine, script, (tag.rjust(_TAG, "_"),), connections=connections, seconds=seconds)


async def wrk_with(
    machine: PinnedMachine, script: str, arguments: Sequence[str], *, connections: int, seconds: float
) -> Slice:
    """Load a server with the requests that a script makes, as fast as they are answered.

    Args:
        machine: The server.
        script: In Lua, without the function ``done``.
        arguments: For the script's function ``init``.
        connections: Each has one request under way.
        seconds: The length of the load; a whole number.
    """
    path = machine.directory / "load.lua"
    path.write_text(script + _SUMMARY)
    before = machine.cpu_s()
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s", "-s", str(path)),
        *(f"http://127.0.0.1:{machine.port}/", "--", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    used = machine.cpu_s() - before
    try:
        return slice_of(output.decode(), used)
    except ValueError as error:
        raise RuntimeError(f"{error}\n{machine.log()[-2000:]}") from error


def slice_of(output: str, cpu_s: float) -> Slice:
    """Return the figures that wrk printed at its end, with the processor seconds that the server used meanwhile.

    Raises:
        ValueError: when requests failed, when there were none, or when wrk's output has no summary.
    """
    last = output.strip().rpartition("\n")[2]
    found = json.loads(last) if last.startswith("{") else None
    if not found or found["wrong"] or not found["requests"]:
        raise ValueError(f"the load went wrong: {output.strip()[-500:]}")
    requests = found["requests"]
    return Slice(requests / found["us"] * 1e6, found["p50"] / 1e3, found["p99"] / 1e3, cpu_s / requests * 1e6)


# -- rounds


async def rounds(
    variants: Mapping[str, Callable[[str], Awaitable[_Taken]]],
    machines: Iterable[PinnedMachine],
    *,
    count: int,
    warm: bool = True,
    tell: Callable[[str], None] = print,
) -> dict[str, list[_Taken]]:
    """Measure every variant once a round, in turn.

    A round in which other programs used much of the machine is taken again. At most ``count`` rounds are; a further
    disturbed round counts.

    Args:
        variants: By name; each gets a text that differs from measurement to measurement.
        machines: The processes whose processor time is not that of other programs.
        count: How many rounds.
        warm: Whether an unmeasured round comes first.
        tell: Gets a sentence about the disturbed rounds, if there were any.
    """
    found: dict[str, list[_Taken]] = {name: [] for name in variants}
    machines = list(machines)
    disturbed = number = 0
    for place, measure in enumerate(variants.values()):
        if warm:
            await measure(f"w{place}")
    while len(next(iter(found.values()))) < count:
        started, foreign = time.monotonic(), _foreign_s(machines)
        taken = {name: await measure(f"{number}.{place}") for place, (name, measure) in enumerate(variants.items())}
        number += 1
        share = (_foreign_s(machines) - foreign) / (time.monotonic() - started)
        disturbed += share > _FOREIGN_MOST
        if share > _FOREIGN_MOST and number - len(next(iter(found.values()))) <= count:
            continue
        for name, measured in taken.items():
            found[name].append(measured)
    if disturbed:
        tell(f"({disturbed} of {number} rounds were disturbed by other programs; {number - count} were taken again)")
    return found


def _foreign_s(machines: Sequence[PinnedMachine]) -> float:
    """Return the processor seconds that programs other than this bench have used since the machine started."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    own = sum(machine.cpu_s() for machine in machines if machine.process)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        own += usage.ru_utime + usage.ru_stime
    # user, nice and system only; the time of interrupts belongs to no program.
    return sum(fields[:3]) / _TICKS - own


def ratio(found: Mapping[str, Sequence[Slice]], name: str, base: str, *, cpu: bool = False) -> float:
    """Return the median over rounds of the ratio of two rates; with ``cpu``, of requests per processor time."""
    pairs = zip(found[name], found[base], strict=True)
    return statistics.median(b.cpu_us / a.cpu_us if cpu else a.rate / b.rate for a, b in pairs)


# -- what is printed


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(head))]
    for row in cells:
        print("  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in _sized(row, widths)))


def _sized(row: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))


def slices(found: Mapping[str, Sequence[Slice]], base: str) -> None:
    """Print a table of all variants, with their ratios to the variant ``base``."""
    rows = []
    for name, taken in found.items():
        values = [
            statistics.median(getattr(measured, what) for measured in taken)
            for what in ("rate", "p50_ms", "p99_ms", "cpu_us")
        ]
        rate, p50, p99, cpu = values
        both = (ratio(found, name, base), ratio(found, name, base, cpu=True))
        rows.append(
            (name, f"{rate:.0f}", *(f"{value:.2f}" for value in both), f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}")
        )
    table(("", "requests/s", "ratio", "ratio (CPU)", "p50 ms", "p99 ms", "CPU us"), rows)


def goal(text: str, value: float, bound: float, *, most: bool = False) -> None:
    """Print one figure and its bound, which is a lower bound unless ``most``, and whether the figure keeps it."""
    reached = value <= bound if most else value >= bound
    print(f"{'ok    ' if reached else 'MISSED'}  {text}: {value:.3g} (goal: {'<=' if most else '>='} {bound:g})")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile: the value that a ``share`` (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
