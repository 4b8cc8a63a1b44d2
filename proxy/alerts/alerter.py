"""Watches the board of conditions and sends alerts, in a task of its own that no other part waits for."""

import asyncio
import hashlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from proxy.alerts.book import AlertBook, News
from proxy.alerts.keeping import StateFile, StateLane
from proxy.alerts.message import AlertSender, alert_message, check_message, summary_message
from proxy.alerts.post import Post, Sent
from proxy.alerts.receivers import AlertReceiver, ReceiverAnswer
from proxy.alerts.state import Alert, AlertState
from proxy.background import repeat_forever
from proxy.config.alerts import AlertSettings
from proxy.model.condition import OF_ALL_PROXIES, Condition, ConditionBoard

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
_LOOK_S = 10.0
_CLOSE_S = 2.0
_MOST_SENT = 50

Look = Callable[[], Awaitable[Sequence[Condition]]]
Figures = Callable[[int, int], Awaitable[Sequence[str]]]
"""Returns lines about what happened between two moments in milliseconds."""


class Alerter:
    """Tells each receiver once of every condition that becomes an alert."""

    def __init__(  # noqa: PLR0913 - what it looks at, and where it remembers
        self,
        settings: AlertSettings,
        receivers: Sequence[AlertReceiver],
        *,
        look: Look,
        known: Callable[[], Sequence[Condition]],
        figures: Figures,
        board: ConditionBoard,
        file: StateFile,
        lane: StateLane | None,
        sender: AlertSender,
        now: Callable[[], int],
    ) -> None:
        """Continue from the stored state of the last process.

        Args:
            settings: Which conditions become alerts, and when.
            receivers: The receivers of messages.
            look: Returns the conditions after new checks.
            known: Returns the conditions that stand on the board, without new checks.
            figures: Returns the lines of a summary.
            board: Is told when a receiver takes no messages.
            file: Stores this machine's state.
            lane: Stores the state about conditions that all proxies of a queue find; None for a queue of one process.
            sender: What the messages say of the proxy.
            now: Server clock in milliseconds.
        """
        self._settings = settings
        self._look = look
        self._known = known
        self._figures = figures
        self._file = file
        self._lane = lane
        self._sender = sender
        self._now = now
        self.sent: deque[Sent] = deque(maxlen=_MOST_SENT)
        """The outcomes of the latest messages, the oldest first."""
        names = _names(receivers)
        self.posts = [
            Post(name, receiver, board=board, now=now, sent=self.sent)
            for name, receiver in zip(names, receivers, strict=True)
        ]
        self._own = self._book(file.read())
        self._shared: AlertBook | None = None
        self._term = 0
        self._testing = asyncio.Lock()

    async def run(self) -> None:
        """Watch until cancelled."""
        await repeat_forever(self.tick, every_s=EVERY_S, what="the alerts")

    async def tick(self) -> None:
        """Check the conditions once, and begin to send the news to receivers that lack them."""
        conditions = await self._conditions()
        now = self._now()
        if self._lane:
            await self._update_shared(self._lane, [each for each in conditions if each.code in OF_ALL_PROXIES], now)
            conditions = [each for each in conditions if each.code not in OF_ALL_PROXIES]
        self._own.update(conditions, now)
        for post in self.posts:
            if post.is_free():
                await self._send_due(post, now)
        await self._keep()

    async def close(self) -> None:
        """Cancel messages under way; news that were not taken are sent after the next start."""
        for post in self.posts:
            await post.close()
        self._file.keep(self._own.state)
        await self._file.close(_CLOSE_S)

    async def test(self) -> Mapping[str, ReceiverAnswer]:
        """Send a test message to each receiver; return the answers by its name."""
        async with self._testing:
            message = check_message(secrets.token_hex(12), self._sender, self._now())
            answers = await asyncio.gather(*(post.try_now(message) for post in self.posts))
        return {post.name: answer for post, answer in zip(self.posts, answers, strict=True)}

    def alerts(self) -> list[Alert]:
        """Return the alerts that have fired or may fire soon, the oldest first."""
        books = [self._own, *([self._shared] if self._shared else [])]
        alerts = [alert for book in books for alert in book.state.alerts.values()]
        return sorted(alerts, key=lambda alert: (alert.since, alert.key))

    def is_waiting(self, post: Post) -> bool:
        """Tell whether there is news that a receiver has not taken."""
        return bool(self._news(post, self._now()))

    # -- conditions

    async def _conditions(self) -> Sequence[Condition]:
        """Return the conditions after new checks; without, when these fail or take too long, as when a disk hangs."""
        try:
            async with asyncio.timeout(_LOOK_S):
                return await self._look()
        except Exception as error:  # noqa: BLE001 - any error of a check
            log.warning("alerts go by what was found before (%s)", type(error).__name__)
            return self._known()

    async def _update_shared(self, lane: StateLane, conditions: Sequence[Condition], now: int) -> None:
        """Take care of conditions that all proxies find, while this proxy is the one that tells of them."""
        term = lane.term
        if term != self._term:
            self._shared, self._term = None, term
        if not term:
            await lane.request_lease()
        elif self._shared is None and (state := await lane.read()) and lane.term == term:
            self._shared = self._book(state)
        if self._shared:
            self._shared.update(conditions, now)

    def _book(self, state: AlertState) -> AlertBook:
        return AlertBook(self._settings, [post.key for post in self.posts], state, self._now())

    async def _keep(self) -> None:
        self._file.keep(self._own.state)
        if self._lane and self._shared:
            await self._lane.keep(self._shared.state)

    # -- messages

    def _news(self, post: Post, now: int) -> News:
        news = self._own.news(post.key, now)
        if self._shared:
            news = news.joined(self._shared.news(post.key, now))
        # A receiver that takes this message need not be told that it took none.
        return News(
            [alert for alert in news.began if not _is_about(alert, post)],
            [told for told in news.still if not _is_about(told.alert, post)],
            news.over,
            [told for told in news.missed if not _is_about(told.alert, post)],
        )

    async def _send_due(self, post: Post, now: int) -> None:
        news = self._news(post, now)
        if news:
            identity = _identity(post.key, news)
            books = ((self._own, _select_news(news, of_all=False)), (self._shared, _select_news(news, of_all=True)))
            if not self._lane:
                books = ((self._own, news), (None, News()))
            post.send(alert_message(identity, self._sender, news, now), lambda: self._note_taken(post, books))
        elif (book := self._shared if self._lane else self._own) and (day := self._summary_day(book, post, now)):
            standing = [alert for alert in self.alerts() if alert.fired_at]
            identity = _identity(post.key, day)
            message = summary_message(identity, self._sender, await self._lines(now), standing, now)
            post.send(message, lambda: book.state.summaries.update({post.key: day}))

    def _note_taken(self, post: Post, books: Sequence[tuple[AlertBook | None, News]]) -> None:
        for book, news in books:
            if book:
                book.note_taken(post.key, news, self._now())
        self._file.keep(self._own.state)

    def _summary_day(self, book: AlertBook, post: Post, now: int) -> str:
        """Return the day, as YYYY-MM-DD, whose summary is due now; empty when none is."""
        if not self._settings.summary_at:
            return ""
        local = self._local(now)
        day, time = local.strftime("%Y-%m-%d"), local.strftime("%H:%M")
        last = book.state.summaries.get(post.key)
        if last is None:  # after the first start past that hour, no summary is sent at once
            book.state.summaries[post.key] = day if time >= self._settings.summary_at else "begun"
            return ""
        return day if time >= self._settings.summary_at and last != day else ""

    def _local(self, now: int) -> datetime:
        return datetime.fromtimestamp(now / 1000, ZoneInfo(self._settings.time_zone))

    async def _lines(self, now: int) -> Sequence[str]:
        # By the owner's clock: where summer time begins or ends, a day has 23 or 25 hours.
        day_before = self._local(now) - timedelta(days=1)
        try:
            async with asyncio.timeout(_LOOK_S):
                return await self._figures(int(day_before.timestamp() * 1000), now)
        except Exception as error:  # noqa: BLE001 - a summary without figures still lists the conditions
            log.warning("no figures for the summary (%s)", type(error).__name__)
            return ("The figures of the day cannot be read now.",)


def _identity(receiver: str, told: News | str) -> str:
    """Return the id of a message, the same each time that it is tried."""
    facts = told
    if isinstance(told, News):
        begun = [(alert.key, alert.fired_at) for alert in told.began]
        # With the time of the last reminder, or each reminder would have the id of the one before.
        still = [(each.alert.key, each.at) for each in told.still]
        facts = repr((begun, still, [(each.alert.key, each.ended_at) for each in (*told.over, *told.missed)]))
    return hashlib.sha256(f"{receiver} {facts}".encode()).hexdigest()[:24]


def _is_about(alert: Alert, post: Post) -> bool:
    return alert.code == "alert_not_sent" and alert.subject == post.name


def _select_news(news: News, *, of_all: bool) -> News:
    """Return the news about conditions that all proxies find, or with ``of_all`` False all others."""

    def is_part(alert: Alert) -> bool:
        return (alert.code in OF_ALL_PROXIES) == of_all

    told = ([each for each in part if is_part(each.alert)] for part in (news.still, news.over, news.missed))
    return News(list(filter(is_part, news.began)), *told)


def _names(receivers: Sequence[AlertReceiver]) -> list[str]:
    """Return a name for each receiver, all different."""
    names: list[str] = []
    for receiver in receivers:
        times = sum(name.partition(" (")[0] == receiver.name for name in names)
        names.append(f"{receiver.name} ({times + 1})" if times else receiver.name)
    return names
