"""What a file holds, before anything is sent: how many events, which are too old, which are refused and why."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.backfill.claims import LeftOut, NotSent
from proxy.backfill.judge import Ready

_MOST_REASONS = 50
_MOST_NAMES = 100
_MOST_LINES = 10


@dataclass(slots=True)
class Report:
    """Counts what is sent and what is not, in memory that does not grow with the file."""

    ready: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Events that can be sent, by name and action source."""
    not_sent: Counter[LeftOut] = field(default_factory=Counter)
    too_old: Counter[str] = field(default_factory=Counter)
    """By action source."""
    reasons: dict[tuple[LeftOut, str], list[int]] = field(default_factory=dict)
    """By reason: the numbers of the first lines that are left out for it."""
    counts: Counter[tuple[LeftOut, str]] = field(default_factory=Counter)
    oldest_s: int = 0
    newest_s: int = 0

    def add(self, item: Ready | NotSent) -> None:
        """Count an event, or a line of which nothing is sent."""
        if isinstance(item, Ready):
            name = item.event["event_name"]
            is_counted = len(self.ready) < _MOST_NAMES or (name, item.action_source) in self.ready
            self.ready[name if is_counted else "other names", item.action_source] += 1
            self.oldest_s = min(self.oldest_s or item.time_s, item.time_s)
            self.newest_s = max(self.newest_s, item.time_s)
            return
        self.not_sent[item.kind] += 1
        if item.kind is LeftOut.TOO_OLD:
            self.too_old[item.action_source] += 1
        self._add_reason(item)

    def _add_reason(self, item: NotSent) -> None:
        key = (item.kind, item.why)
        if key not in self.reasons and len(self.reasons) >= _MOST_REASONS:
            key = (item.kind, "other reasons")
        self.counts[key] += 1
        lines = self.reasons.setdefault(key, [])
        if len(lines) < _MOST_LINES:
            lines.append(item.line)

    @property
    def is_clean(self) -> bool:
        """Whether everything that stands for an event can be sent."""
        return not (self.not_sent[LeftOut.REFUSED] or self.not_sent[LeftOut.TOO_OLD])

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        yield f"{_counted(self.ready.total(), 'event')} can be sent"
        for (name, source), count in self.ready.most_common(_MOST_LINES):
            yield f"  {count} {name} from {source}"
        if self.ready:
            yield f"  from {_clock(self.oldest_s)} to {_clock(self.newest_s)}"
        for kind, title in (
            (LeftOut.TOO_OLD, "too old"),
            (LeftOut.REFUSED, "refused"),
            (LeftOut.NO_SALE, "no sale, left out"),
        ):
            if self.not_sent[kind]:
                yield f"{self.not_sent[kind]} {title}"
                yield from self._reason_lines(kind)

    def _reason_lines(self, kind: LeftOut) -> Iterator[str]:
        for key in sorted((key for key in self.reasons if key[0] is kind), key=lambda key: -self.counts[key]):
            shown, count = self.reasons[key], self.counts[key]
            more = ", …" if count > len(shown) else ""
            yield f"  {key[1]}: {count} (line {', '.join(map(str, shown))}{more})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
