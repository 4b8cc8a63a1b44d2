"""Open load: requests are sent when they are due, whether or not earlier ones were answered.

A latency begins when its request was due, not when it could be sent. So a server that stalls is charged for all
requests that were due meanwhile (Tene, "How NOT to Measure Latency": coordinated omission), and so is this generator
for being late. The gaps between requests are those of a Poisson process. Run as a process of its own, which prints
JSON: ``python bench/open_load.py --port N --rate R --seconds S --run N PAGES VISITORS``.
"""

import json
import random
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
from shop_pages import Requests, heads, read

_PATIENCE = 10.0
"""How many seconds after the last request was due its answers are waited for."""
_END = b"\r\n\r\n"
_GOOD = b"HTTP/1.1 204"


@dataclass
class Outcome:
    """What became of the requests that were due."""

    latencies_ms: list[float] = field(default_factory=list)
    """Milliseconds from due to answered, in the order of the answers; of an unanswered request, to the run's end."""
    unanswered: int = 0
    late_ms: list[float] = field(default_factory=list)
    """Milliseconds from due to sent: the generator was late, or no connection was free."""


def dues(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Yield the moments at which requests are due, in seconds from the start.

    Args:
        rate: Requests a second, on average.
        seconds: The length of the load; no request is due later.
        chance: Chooses the gaps.
    """
    due = chance.expovariate(rate)
    while due < seconds:
        yield due
        due += chance.expovariate(rate)


class Load:
    """Sends the requests that are due over a fixed number of connections."""

    def __init__(self, port: int, connections: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """Connect to a server on loopback.

        Args:
            port: The server's port.
            connections: How many connections are opened.
            clock: Returns seconds.
        """
        self._clock = clock
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[connection.fileno()] = connection
            self._poll.register(connection, select.EPOLLIN)
        self._free = deque(self._sockets)
        self._under_way: dict[int, float] = {}
        self._answers = dict.fromkeys(self._sockets, b"")
        self._outcome = Outcome()

    def run(self, moments: Iterator[float], requests: Iterator[bytes]) -> Outcome:
        """Send a request at each moment, and wait for the answers.

        Raises:
            RuntimeError: when an answer is not 204, which alone acknowledges the events.
        """
        started = self._clock()
        waiting: deque[float] = deque()
        next_due = next(moments, None)
        last = started
        while next_due is not None or waiting or self._under_way:
            now = self._clock()
            while next_due is not None and started + next_due <= now:
                last = started + next_due
                waiting.append(last)
                next_due = next(moments, None)
            while waiting and self._free:
                self._send(waiting.popleft(), next(requests))
            if next_due is None and now > last + _PATIENCE:
                break
            self._receive(0.05 if next_due is None else started + next_due - self._clock())
        self._give_up([*self._under_way.values(), *waiting])
        return self._outcome

    def close(self) -> None:
        """Close all connections."""
        for connection in self._sockets.values():
            connection.close()
        self._poll.close()

    def _send(self, due: float, request: bytes) -> None:
        number = self._free.popleft()
        self._outcome.late_ms.append((self._clock() - due) * 1000)
        self._under_way[number] = due
        self._sockets[number].sendall(request)

    def _receive(self, idle_s: float) -> None:
        # epoll may wake up a millisecond late, so in the last two milliseconds the loop polls without sleeping.
        for number, _ in self._poll.poll(max(0.0, idle_s - 0.002)):
            self._answers[number] += self._sockets[number].recv(65_536)
            answer = self._answers[number]
            if _END in answer or not answer:
                if not answer.startswith(_GOOD):
                    raise RuntimeError(f"not acknowledged: {answer[:200]!r}")
                self._outcome.latencies_ms.append((self._clock() - self._under_way.pop(number)) * 1000)
                self._answers[number] = b""
                self._free.append(number)

    def _give_up(self, moments: list[float]) -> None:
        now = self._clock()
        self._outcome.latencies_ms += [(now - due) * 1000 for due in moments]
        self._outcome.unanswered = len(moments)


@click.command()
@click.argument("pages", type=click.Path(path_type=Path))
@click.argument("visitors", type=click.Path(path_type=Path))
@click.option("--port", type=int, required=True)
@click.option("--rate", type=float, required=True, help="Requests a second.")
@click.option("--seconds", type=float, required=True)
@click.option("--connections", type=int, default=256, show_default=True)
@click.option("--run", type=int, required=True, help="A number that no other run of the load has.")
def main(  # noqa: PLR0913 - a command
    *, pages: Path, visitors: Path, port: int, rate: float, seconds: float, connections: int, run: int
) -> None:
    """Send requests to a server of loopback and print how long their answers took."""
    load = Load(port, connections)
    outcome = load.run(dues(rate, seconds, random.Random(run)), iter(Requests(read(pages), heads(visitors), run)))
    load.close()
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
