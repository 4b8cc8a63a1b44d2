"""Moments on a command line: a time span that ended now, or a date."""

from datetime import UTC, datetime

import click
import pytest

from proxy.cli.moments import MomentType

NOW = 1_790_000_000_000
MOMENT = MomentType(now=lambda: NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - 86_400_000),
        ("7d", NOW - 7 * 86_400_000),
        ("90m", NOW - 5_400_000),
        ("30 s", NOW - 30_000),
        ("2W", NOW - 14 * 86_400_000),
        ("999999w", 0),
        ("2026-09-28T00:00Z", int(datetime(2026, 9, 28, tzinfo=UTC).timestamp() * 1000)),
        ("2026-09-28T02:00+02:00", int(datetime(2026, 9, 28, tzinfo=UTC).timestamp() * 1000)),
        ("2026-09-28", int(datetime(2026, 9, 28).astimezone().timestamp() * 1000)),
        ("1900-01-01T00:00Z", 0),
        (5, 5),
    ],
)
def test_a_moment_is_ago_or_a_date(text: str | int, moment: int) -> None:
    """A date without a zone is read by this machine's clock; moments before 1970 become 0."""
    assert MOMENT.convert(text, None, None) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "7", "h", "-3h", "1y", "2026-13-01", "٣h", "1e3d", "9" * 50 + "d"])
def test_what_is_no_moment_is_refused_with_what_is_accepted(text: str) -> None:
    """The message repeats what was written, and says how a moment is written."""
    with pytest.raises(click.BadParameter, match="24h, 7d"):
        MOMENT.convert(text, None, None)
