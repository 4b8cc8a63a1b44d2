"""Runs the rules and reports every side effect: files, sockets, processes, clocks, randomness, the environment.

    python purity.py              send requests and Graph's answers; print a digest of all results
    python purity.py --line CODE  run one line as if it were part of a rule, to test whether it is reported

Exits with 1 and a line for each side effect. It cannot see a C library that calls the kernel by itself. Tables may be
read before the first request (``tables.prepare``).
"""

import datetime as dt
import hashlib
import itertools
import os
import random
import secrets
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PURE = tuple(str(ROOT / "proxy" / room) for room in ("rules", "graph", "model"))
# Audit events that are no side effects: https://docs.python.org/3/library/audit_events.html
HARMLESS = {"builtins.id", "object.__getattr__", "object.__setattr__", "sys._getframe"}
CLOCKS = ["clock_gettime", "localtime", "monotonic", "perf_counter", "process_time", "sleep", "thread_time", "time"]
CALENDARS = ("ctime", "gmtime")
# Side effects that cause no audit event.
SYSTEM: dict[object, Sequence[str]] = {
    os: ("access", "cpu_count", "getpid", "getrandom", "lstat", "stat", "urandom"),
    type(os.environ): ("__getitem__",),
    ssl: ("RAND_bytes",),
    threading.Thread: ("start",),
    uuid: ("uuid1", "uuid4"),
}
REQUESTS = 400


class Watch:
    """Records the side effects of rules."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._armed = self._looking = False

    def install(self) -> None:
        """Replace clocks and randomness, before anything imports them, and listen to audit events for the rest."""
        for name in [*CLOCKS, *(f"{name}_ns" for name in CLOCKS if hasattr(time, f"{name}_ns"))]:
            self._replace(time, name)
        for name in CALENDARS:
            self._replace(time, name, only=lambda arguments: not arguments)
        for module in (random, secrets):
            for name in module.__all__:
                self._replace(module, name)
        for holder, names in SYSTEM.items():
            for name in names:
                self._replace(holder, name)
        self._replace_calendar()
        sys.addaudithook(self._hear)

    def arm(self) -> None:
        """Record from now on."""
        self._armed = True

    def _replace(self, holder: object, name: str, only: Callable[[tuple[Any, ...]], bool] = bool) -> None:
        original = getattr(holder, name)
        always = only is bool

        def call(*arguments: Any, **named: Any) -> Any:
            if always or only(arguments):
                self.note(f"{getattr(holder, '__name__', holder)}.{name}")
            return original(*arguments, **named)

        setattr(holder, name, call)

    def _replace_calendar(self) -> None:
        watch = self

        class Datetime(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> "Datetime":
                watch.note("datetime.now")
                return super().now(tz)

            @classmethod
            def utcnow(cls) -> "Datetime":
                watch.note("datetime.utcnow")
                return cls.now(dt.UTC).replace(tzinfo=None)

            @classmethod
            def today(cls) -> "Datetime":
                watch.note("datetime.today")
                return super().today()

        class Date(dt.date):
            @classmethod
            def today(cls) -> "Date":
                watch.note("date.today")
                return super().today()

        dt.datetime, dt.date = Datetime, Date  # type: ignore[misc]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in HARMLESS:
            self.note(event, *arguments[:1])

    def note(self, what: str, *about: object) -> None:
        """Record a side effect if a rule, or something it called, causes it."""
        if not self._armed or self._looking:
            return
        self._looking = True
        place = next((frame for frame in _frames() if frame.f_code.co_filename.startswith(PURE)), None)
        if place is not None:
            where = Path(place.f_code.co_filename).relative_to(ROOT)
            self.seen.append(f"{where}:{place.f_lineno} {' '.join([what, *(repr(value)[:80] for value in about)])}")
        self._looking = False


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _run(watch: Watch) -> Iterator[object]:
    """Send golden bodies, random requests and servers' ones, and judge answers of Graph; yield all results."""
    from maker import Chance  # noqa: PLC0415 - after the clocks were replaced
    from server_target import ServerDoor, golden_bodies  # noqa: PLC0415
    from target import Door, drawn, unpacked  # noqa: PLC0415

    from proxy.graph import payload, verdict  # noqa: PLC0415
    from proxy.model.server_request import RequestFields  # noqa: PLC0415

    door = Door()
    seeds = sorted((ROOT / "tests" / "fuzz" / "seeds").glob("*.json"))
    requests = [*(unpacked(seed.read_bytes()) for seed in seeds), *(drawn(Chance(i)) for i in range(REQUESTS))]
    servers, of_servers = ServerDoor(), golden_bodies()
    watch.arm()
    for body in of_servers:
        yield servers.answer(body)
    for request in requests:
        decision = door.answer(request)
        yield decision
        for record in decision.records:
            yield payload.body([record.payload], access_token="t", app_secret="s", fields=RequestFields("c"))
    for status, answer, headers in itertools.product((200, 400, 401, 413, 429, 500), _ANSWERS, _HEADERS):
        yield verdict.judge(status, answer, headers, 3)
        yield verdict.clock_ahead(headers, 1_764_000_000_000)


_ERROR = b'{"error":{"message":"(#%d) no","code":%d,"error_subcode":%d,"is_transient":%s,"fbtrace_id":"A"}}'
_ANSWERS = [
    b"",
    b"<html>",
    b'{"events_received": 3, "fbtrace_id": "A"}',
    b'{"events_received": 0}',
    *(
        _ERROR % (code, code, subcode, transient)
        for code in (1, 4, 100, 190, 80004)
        for subcode in (0, 33, 2804017)
        for transient in (b"true", b"false")
    ),
]
_HEADERS: list[dict[str, str]] = [
    {},
    {"Date": "Mon, 24 Nov 2025 16:00:00 GMT", "Retry-After": "7"},
    {"X-App-Usage": '{"call_count": 99, "total_time": 3, "total_cputime": 1}'},
]


def _line(watch: Watch, code: str) -> Iterator[object]:
    compiled = compile(code, f"{PURE[0]}/line.py", "exec")
    watch.arm()
    exec(compiled, {})  # noqa: S102 - a line of the test's own
    yield code


def main(arguments: list[str]) -> int:
    """Run; print the side effects, or else the digest; return the exit code."""
    watch = Watch()
    watch.install()
    digest = hashlib.sha256()
    for result in _line(watch, arguments[1]) if arguments[:1] == ["--line"] else _run(watch):
        digest.update(repr(result).encode())
    sys.stdout.write("\n".join(dict.fromkeys(watch.seen)) or digest.hexdigest())
    return 1 if watch.seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
