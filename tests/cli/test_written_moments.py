"""Moments as people write them, read by the clock of the machine unless they name a zone."""

import time
from collections.abc import Iterator
from datetime import datetime

import click
import pytest

from proxy.cli.moments import MomentType

NOW = int(datetime.fromisoformat("2026-11-20T12:30:00+00:00").timestamp() * 1000)


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def moment(text: str, *, is_end: bool = False) -> str:
    at = MomentType(now=lambda: NOW, is_end=is_end).convert(text, None, None)
    return datetime.fromtimestamp(at / 1000).astimezone().isoformat()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2h", "2026-11-20T11:30:00+01:00"),
        ("90 M", "2026-11-20T12:00:00+01:00"),
        ("1d", "2026-11-19T13:30:00+01:00"),
        ("2026-11-20T09:00Z", "2026-11-20T10:00:00+01:00"),
        ("2026-11-20 09:00:30+01:00", "2026-11-20T09:00:30+01:00"),
        ("2026-11-20T09:00", "2026-11-20T09:00:00+01:00"),
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
        ("14:03", "2026-11-20T14:03:00+01:00"),
        ("9:03:07", "2026-11-20T09:03:07+01:00"),
    ],
)
def test_a_moment_is_read_as_it_is_meant(text: str, read: str) -> None:
    """A moment is a time span ago, ISO 8601 with or without a zone, a date, or a time of today."""
    assert moment(text) == read


def test_a_date_as_an_end_is_that_day_too() -> None:
    """An end that is a date includes that day; an end with a time is that time."""
    assert moment("2026-11-20", is_end=True) == "2026-11-21T00:00:00+01:00"
    assert moment("2026-11-20T10:00", is_end=True) == "2026-11-20T10:00:00+01:00"


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2h30", "-2h", "2026-02-30", "9" * 400, "14:03:99", "٣h"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """The message repeats the text, shortened, and says what is accepted."""
    with pytest.raises(click.BadParameter, match="accepted"):
        moment(text)
