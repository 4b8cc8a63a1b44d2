"""The alert book: when a condition becomes an alert and when it is over, once each, whatever board and clock do."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from clock import NOON
from hypothesis import given
from hypothesis import strategies as st

from proxy.alerts.book import AlertBook, News
from proxy.alerts.state import AlertState, decoded, encoded
from proxy.config.alerts import AlertSettings
from proxy.model.condition import Condition
from proxy.model.units import DAY_MS

SECOND, MINUTE = 1000, 60_000
PAUSED = Condition("pixel_paused", "55", "token; Meta says: expired", NOON)
LIMITED = Condition("limited", "rate", "too many", NOON)


@dataclass
class Reader:
    """An alert book with its clock and one receiver."""

    book: AlertBook
    now: int = NOON

    @classmethod
    def new(cls, **settings: Any) -> "Reader":
        return cls(_book(AlertState(), NOON - DAY_MS, **settings))

    def see(self, *conditions: Condition, after: int = 0) -> "Reader":
        self.now += after
        self.book.update(conditions, self.now)
        return self

    def read(self) -> dict[str, list[str]]:
        """Return the news for the receiver by part, and mark them as heard."""
        news = self.book.news("hook", self.now)
        self.book.note_taken("hook", news, self.now)
        return told(news)

    def restart(self, **settings: Any) -> None:
        self.book = _book(decoded(encoded(self.book.state)), self.now, **settings)


def _book(state: AlertState, started: int, **settings: Any) -> AlertBook:
    return AlertBook(AlertSettings(**settings), ["hook"], state, started)


def told(news: News) -> dict[str, list[str]]:
    told_of = {"still": news.still, "over": news.over, "missed": news.missed}
    parts = {"began": news.began} | {name: [each.alert for each in part] for name, part in told_of.items()}
    return {name: [alert.key for alert in part] for name, part in parts.items() if part}


@pytest.mark.parametrize(("condition", "hold"), [(PAUSED, 60), (LIMITED, 300)])
def test_it_fires_when_it_has_stood_long_enough_and_once(condition: Condition, hold: int) -> None:
    """An alert fires exactly after its time, which is shorter if readiness fails, and only once while it stands."""
    reader = Reader.new().see(condition)
    early = reader.see(condition, after=hold * SECOND - 1).read()
    first = reader.see(condition, after=1).read()
    later = [reader.see(condition, after=MINUTE).read() for _ in range(100)]

    assert (early, first) == ({}, {"began": [f"{condition.code} {condition.subject}"]})
    assert not any(later)


def test_it_is_over_once_and_may_begin_again() -> None:
    """A condition that was absent for its time is reported as over; if it comes again, it is a new alert."""
    reader = Reader.new().see(PAUSED).see(PAUSED, after=MINUTE)
    began = reader.read()
    away = reader.see(after=1).see(after=5 * MINUTE - 1).read()
    over = reader.see(after=1).read()
    silent = reader.see(after=MINUTE).read()
    again = reader.see(PAUSED, after=MINUTE).see(PAUSED, after=MINUTE).read()

    assert (began, away, over) == ({"began": ["pixel_paused 55"]}, {}, {"over": ["pixel_paused 55"]})
    assert (silent, again) == ({}, began)


def test_a_blip_is_no_alert() -> None:
    """A condition that each time lasts less than its time, with longer pauses in between, is not reported."""
    reader = Reader.new()
    for _ in range(20):
        reader.see(LIMITED, after=MINUTE).see(after=MINUTE).see(after=6 * MINUTE)

    assert reader.read() == {}


def test_what_flaps_is_one_alert() -> None:
    """A condition that returns within its time did not end: it causes one message."""
    reader = Reader.new()
    heard = []
    for _ in range(50):
        heard.append(reader.see(PAUSED, after=30 * SECOND).read())
        heard.append(reader.see(after=30 * SECOND).read())

    assert [news for news in heard if news] == [{"began": ["pixel_paused 55"]}]


def test_a_restart_repeats_nothing_and_forgets_nothing() -> None:
    """A reported alert is not repeated after a restart, and its end is reported once, after time to see it again."""
    reader = Reader.new().see(PAUSED).see(PAUSED, after=MINUTE)
    began = reader.read()
    reader.restart()
    found_late = reader.see(after=MINUTE).see(after=10 * MINUTE).see(PAUSED, after=MINUTE).read()
    reader.restart()
    gone = [reader.see(after=MINUTE).read() for _ in range(40)]

    assert (began, found_late) == ({"began": ["pixel_paused 55"]}, {})
    assert [news for news in gone if news] == [{"over": ["pixel_paused 55"]}]


def test_what_ended_before_anybody_could_be_told_is_told_as_such() -> None:
    """A receiver that was away hears the current alerts, and the last 20 of those that began and ended meanwhile."""
    reader = Reader.new(conditions=["*"])
    many = [replace(LIMITED, subject=str(number)) for number in range(15)]
    for _ in range(2):
        reader.see(*many, after=DAY_MS).see(*many, after=5 * MINUTE).see(after=1).see(after=5 * MINUTE)
    reader.see(PAUSED).see(PAUSED, after=MINUTE)
    first, second = reader.read(), reader.read()

    assert (first["began"], len(first["missed"]), second) == (["pixel_paused 55"], 20, {})


def test_it_is_told_again_after_the_hours_that_were_asked_for() -> None:
    """A reminder of a standing alert comes after the owner's hours, each time."""
    reader = Reader.new(repeat_hours=4).see(PAUSED).see(PAUSED, after=MINUTE)
    heard = [reader.read()] + [reader.see(PAUSED, after=60 * MINUTE).read() for _ in range(8)]

    still = {"still": ["pixel_paused 55"]}
    assert heard == [{"began": ["pixel_paused 55"]}, {}, {}, {}, still, {}, {}, {}, still]


@pytest.mark.parametrize("settings", [{"conditions": ["*", "!limited"]}, {"least": "failing"}])
def test_what_the_owner_leaves_out_after_it_was_told_is_not_called_over(settings: dict[str, Any]) -> None:
    """A condition that a changed configuration excludes has not ended, so neither end nor reminder is sent."""
    reader = Reader.new().see(PAUSED, LIMITED).see(PAUSED, LIMITED, after=5 * MINUTE)
    began = reader.read()
    reader.restart(repeat_hours=1, **settings)
    later = [reader.see(PAUSED, LIMITED, after=10 * MINUTE).read() for _ in range(12)]

    assert began == {"began": ["pixel_paused 55", f"limited {LIMITED.subject}"]}
    assert [news for news in later if news] == [{"still": ["pixel_paused 55"]}] * 2


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ({}, ["pixel_paused", "limited"]),
        ({"least": "failing"}, ["pixel_paused"]),
        ({"conditions": ["*", "!pixel_paused"]}, ["limited"]),
        ({"conditions": ["limited"]}, ["limited"]),
        ({"conditions": []}, []),
    ],
)
def test_only_what_the_owner_wants_is_told(settings: dict[str, Any], codes: list[str]) -> None:
    """The owner can choose or exclude codes, or only want those that fail readiness."""
    reader = Reader.new(**settings).see(PAUSED, LIMITED).see(PAUSED, LIMITED, after=5 * MINUTE)

    assert [key.partition(" ")[0] for key in reader.read().get("began", [])] == codes


def test_a_stranger_cannot_make_a_storm() -> None:
    """Of the conditions that strangers can cause three a day become alerts, of any other code twenty."""
    origins = [Condition("foreign_origin", f"{number}.example", "refused", NOON) for number in range(20)]
    pixels = [replace(PAUSED, subject=str(number)) for number in range(50)]
    reader = Reader.new().see(*origins, *pixels).see(*origins, *pixels, after=5 * MINUTE)
    first = reader.read()["began"]
    same_day = reader.see(*origins, *pixels, after=DAY_MS - 10 * MINUTE).read()
    next_day = reader.see(*origins, *pixels, after=11 * MINUTE).read()["began"]

    assert sum(key.startswith("foreign_origin") for key in first) == 3
    assert (len(first), same_day, len(next_day)) == (23, {}, 23)
    assert set(first).isdisjoint(next_day)


def test_a_clock_that_steps_back_keeps_nobody_waiting() -> None:
    """After a step back by a day, alerts still begin and end after their usual times."""
    reader = Reader.new().see(PAUSED)
    began = reader.see(PAUSED, after=-DAY_MS).see(PAUSED, after=MINUTE).read()
    over = reader.see(after=MINUTE).see(after=-DAY_MS).see(after=5 * MINUTE).see(after=DAY_MS).read()

    assert (began, over) == ({"began": ["pixel_paused 55"]}, {"over": ["pixel_paused 55"]})


def test_what_changes_while_a_message_is_on_its_way_is_not_lost() -> None:
    """An alert that ends while its message is being sent is reported as over in the next message."""
    reader = Reader.new().see(PAUSED).see(PAUSED, after=MINUTE)
    on_its_way = reader.book.news("hook", reader.now)
    reader.see(after=1).see(after=5 * MINUTE)
    reader.book.note_taken("hook", on_its_way, reader.now)

    assert told(on_its_way) == {"began": ["pixel_paused 55"]}
    assert [reader.read(), reader.read()] == [{"over": ["pixel_paused 55"]}, {}]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"alerts": {"x": 1}}', b'{"alerts": {"a b": {"code": "gone"}}}'])
def test_a_state_that_cannot_be_read_begins_anew(text: bytes) -> None:
    """Whatever the file contains, alerts start with an empty state."""
    assert decoded(text) == AlertState()


CONDITIONS = [PAUSED, LIMITED, replace(PAUSED, subject="77")]
STEPS = st.lists(
    st.tuples(
        st.sets(st.sampled_from(range(len(CONDITIONS)))),
        st.integers(0, 20 * MINUTE),
        st.sampled_from(["hears", "is away", "restarts"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_began_and_over_take_turns(steps: list[tuple[set[int], int, str]]) -> None:
    """A receiver hears of each condition's beginnings and ends in turns, whatever comes, goes and restarts."""
    reader = Reader.new()
    standing: set[str] = set()
    for numbers, after, what in steps:
        if what == "restarts":
            reader.restart()
        reader.see(*(CONDITIONS[number] for number in numbers), after=after)
        if what == "is away":
            continue
        news = reader.read()
        assert standing.isdisjoint(set(news.get("began", ())) - set(news.get("over", ())))
        assert standing.issuperset(news.get("over", ()))
        assert set(news.get("missed", ())).isdisjoint(standing)
        standing = (standing - set(news.get("over", ()))) | set(news.get("began", ()))
    assert standing == set(reader.book.state.receipts["hook"].told)
