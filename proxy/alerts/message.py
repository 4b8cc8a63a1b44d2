"""What a message says: its facts, and a plain text of them that every kind of receiver can show. No I/O, no clock."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from proxy.alerts.book import News
from proxy.alerts.state import Alert
from proxy.model.condition_advice import ADVICE

MessageKind: TypeAlias = Literal["alert", "test", "summary"]
MOST_ITEMS: Final = 20
"""How many alerts a message describes; it only gives the number of the others."""
_MOST_DETAIL = 300
_TEST_TITLE = "Test of the alerts"
_TEST_TEXT = "This is a test. Nothing is wrong: alerts of this proxy reach you here."


class AlertSender(NamedTuple):
    """The proxy that sends messages, and the time zone in which it writes times."""

    proxy: str
    """The name of the machine."""
    dashboard: str
    """The address of its dashboard; empty where the owner named none."""
    time_zone: str


class Item(NamedTuple):
    """What a message says about one condition."""

    code: str
    subject: str
    detail: str
    since: int
    ended: int
    """When it was over; 0 while it stands."""
    failing: bool
    title: str
    to_do: str


class Message(NamedTuple):
    """One message to one receiver."""

    id: str
    """The same each time that the message is tried, so that a receiver can tell a repeat."""
    kind: MessageKind
    at: int
    sender: AlertSender
    title: str
    lines: Sequence[str] = ()
    """The text of a summary or a test; empty in an alert."""
    began: Sequence[Item] = ()
    still: Sequence[Item] = ()
    over: Sequence[Item] = ()
    missed: Sequence[Item] = ()
    """What began and was over before this receiver could be told."""

    @property
    def is_bad(self) -> bool:
        """Tell whether something stands that a person should look at."""
        return bool(self.began or self.still)


def alert_message(identity: str, sender: AlertSender, news: News, now: int) -> Message:
    """Return the message of news that a receiver has not been told yet.

    Args:
        identity: See ``Message.id``.
        sender: The proxy that sends it.
        news: The news.
        now: Server clock in milliseconds.
    """
    began, still = list(map(_item, news.began)), [_item(told.alert) for told in news.still]
    over, missed = ([_item(told.alert, told.ended_at) for told in part] for part in (news.over, news.missed))
    return Message(identity, "alert", now, sender, _title(began, still, over, missed), (), began, still, over, missed)


def check_message(identity: str, sender: AlertSender, now: int) -> Message:
    """Return a test message, which only shows that messages arrive.

    Args:
        identity: See ``Message.id``.
        sender: The proxy that sends it.
        now: Server clock in milliseconds.
    """
    return Message(identity, "test", now, sender, _TEST_TITLE, (_TEST_TEXT,))


def summary_message(
    identity: str, sender: AlertSender, lines: Sequence[str], standing: Sequence[Alert], now: int
) -> Message:
    """Return the daily summary.

    Args:
        identity: See ``Message.id``.
        sender: The proxy that sends it.
        lines: The figures of the day.
        standing: The alerts that stand now.
        now: Server clock in milliseconds.
    """
    still = list(map(_item, standing))
    title = (
        f"Summary: {_conditions(len(still))} {'stands' if len(still) == 1 else 'stand'}"
        if still
        else "Summary: all is well"
    )
    return Message(identity, "summary", now, sender, title, lines, (), still)


def text_of(message: Message) -> str:
    """Return a message as plain text, without its title."""
    return "\n".join(_lines(message)).strip() + "\n"


def _lines(message: Message) -> Iterator[str]:
    yield from message.lines
    parts = (("", message.began), ("Still", message.still), ("Over", message.over), ("Over by now", message.missed))
    left = MOST_ITEMS
    for heading, items in parts:
        for item in items[:left]:
            yield ""
            yield from _item_lines(heading, item, message.sender.time_zone)
        if len(items) > left:
            yield f"\n… and {len(items) - left} more{f' ({heading.lower()})' if heading else ''}"
        left = max(0, left - len(items))
    yield ""
    yield f"Proxy: {message.sender.proxy}"
    if message.sender.dashboard:
        yield f"Dashboard: {message.sender.dashboard}"


def _item_lines(heading: str, item: Item, time_zone: str) -> Iterator[str]:
    yield f"{heading}: {name_of(item)}" if heading else name_of(item)
    if item.detail:
        yield f"  {item.detail}"
    ended = f", until {clock_text(item.ended, time_zone)}" if item.ended else ""
    yield f"  Since {clock_text(item.since, time_zone)}{ended} ({item.code})"
    if not item.ended:
        yield f"  What to do: {item.to_do}"


def name_of(item: Item) -> str:
    """Return the title of a condition, with its subject if it has one."""
    return f"{item.title}: {item.subject}" if item.subject else item.title


def clock_text(at: int, time_zone: str) -> str:
    """Return a moment, given in milliseconds, as date and time of a time zone."""
    try:
        return datetime.fromtimestamp(at / 1000, ZoneInfo(time_zone)).strftime("%Y-%m-%d %H:%M %Z")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def _item(alert: Alert, ended: int = 0) -> Item:
    words = ADVICE[alert.code]
    detail = _plain(alert.detail, _MOST_DETAIL)
    return Item(alert.code, _plain(alert.subject, 100), detail, alert.since, ended, alert.failing, *words)


def _plain(text: str, most: int) -> str:
    """Return a text, cut to ``most``, without control and invisible characters: parts come from strangers and Meta."""
    return "".join(c if c.isprintable() else " " for c in text)[:most]


def _title(began: Sequence[Item], still: Sequence[Item], over: Sequence[Item], missed: Sequence[Item]) -> str:
    parts = []
    if len(began) == 1:
        parts.append(name_of(began[0]))
    elif began:
        parts.append(f"{name_of(began[0])}, and {len(began) - 1} more")
    if still:
        parts.append(f"still: {name_of(still[0])}" if len(still) == 1 else f"{_conditions(len(still))} still stand")
    ended = [*over, *missed]
    if ended:
        parts.append(f"over: {name_of(ended[0])}" if len(ended) == 1 else f"{_conditions(len(ended))} are over")
    title = "; ".join(parts)
    return title[:1].upper() + title[1:]


def _conditions(number: int) -> str:
    return f"{number} condition{'' if number == 1 else 's'}"
