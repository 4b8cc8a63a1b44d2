"""What the simulator accepted, and the report on it."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any

from proxy.simulator.graph.dedup import Copy, Pair, pairs
from proxy.simulator.graph.lint import lint
from proxy.simulator.graph.parity import parity
from proxy.simulator.graph.rules import filled_keys

MOST_COPIES = 100_000


class Memory:
    """The newest accepted copies, up to a fixed number."""

    def __init__(self, keep: int = MOST_COPIES) -> None:
        self._copies: deque[Copy] = deque(maxlen=keep)
        self.forgotten = 0

    def add(self, copies: Iterable[Copy]) -> None:
        """Add copies; beyond the bound the oldest are forgotten, and counted."""
        for copy in copies:
            self.forgotten += len(self._copies) == self._copies.maxlen
            self._copies.append(copy)

    def clear(self) -> None:
        """Forget everything."""
        self._copies.clear()
        self.forgotten = 0

    def newest(self) -> Iterator[Copy]:
        """Return the copies, newest first."""
        return reversed(self._copies)

    def report(self) -> dict[str, Any]:
        """Return the report of `GET /sim/report` on everything that is not forgotten."""
        found = pairs(self._copies)
        server = [copy for copy in self.newest() if copy.source == "server"]
        return {
            **_totals(found),
            "forgotten": self.forgotten,
            "parity": parity(reversed(found)),
            "pairs": [_pair(pair) for pair in reversed(found)],
            "match_keys": dict(Counter(key for copy in server for key in filled_keys(copy.read)).most_common()),
            "lint": [remark for copy in server for remark in _remarks(copy)],
        }


def missing_events(copies: Iterable[Copy], expected: Iterable[str]) -> list[dict[str, str]]:
    """Return which of the expected `name:id` no server copy has arrived for."""
    arrived = {(copy.name, copy.id) for copy in copies if copy.source == "server"}
    keys = [tuple(text.partition(":")[::2]) for text in expected]
    return [{"name": name, "id": identity} for name, identity in keys if (name, identity) not in arrived]


def _totals(found: list[Pair]) -> dict[str, int]:
    verdicts = Counter(pair.verdict for pair in found)
    return {
        "counted_once": len(found) - verdicts["twice"],
        "counted_twice": verdicts["twice"],
        "browser_only": verdicts["browser_only"],
        "recovered": verdicts["recovered"],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    first = pair.copies[0]
    return {
        "pixel": first.pixel,
        "name": first.name,
        "id": pair.id,
        "browser": pair.copy_count("browser"),
        "server": pair.copy_count("server"),
        "counted": pair.counted,
        "verdict": pair.verdict,
        "unsure": pair.unsure,
        "by": pair.by,
        "first_at": first.received_at,
        "event_time": pair.event_time,
    }


def _remarks(copy: Copy) -> list[dict[str, Any]]:
    about = {"pixel": copy.pixel, "name": copy.name, "id": copy.id}
    return [{**about, "problem": problem, "field": field} for problem, field in lint(copy.read)]
