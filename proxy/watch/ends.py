"""What ends on a day that is known before: a token, a version of the Graph API. No I/O, no clock."""

import re
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from proxy.graph.law import VERSION_ENDS

_VERSION_DAYS: Final = 90
_TOKEN_DAYS: Final = 14
_TOKEN_OVER_DAYS: Final = 15
_NEVER_MS: Final = 253_000_000_000_000  # in the year 9987
_FORM = re.compile(r"v(\d+)\.(\d+)")


class End(NamedTuple):
    """The last day of something, and how many are left."""

    day: date
    days: int
    """Negative: it is over."""


def version_end(version: str, now: int) -> End | None:
    """Return the end of a version that is near or past; None for one that has time, or of which nothing is known.

    Args:
        version: Such as "v26.0".
        now: Server clock in milliseconds.
    """
    day = VERSION_ENDS.get(version)
    if day is None and _number(version) < min(map(_number, VERSION_ENDS)):
        day = min(filter(None, VERSION_ENDS.values()))
    if day is None:
        return None
    days = (day - _today(now)).days
    return End(day, days) if days <= _VERSION_DAYS else None


def token_end(ends_at: int | None, now: int, *, stands: bool) -> End | None:
    """Return the end of a token that is near or past.

    Args:
        ends_at: In milliseconds; None where it does not end, or nobody knows.
        now: Server clock in milliseconds.
        stands: It was near before: it is over with a token that lasts a day longer than the bound.
    """
    if ends_at is None or not 0 < ends_at < _NEVER_MS:
        return None
    day = datetime.fromtimestamp(ends_at / 1000, UTC).date()
    days = (day - _today(now)).days
    return End(day, days) if days <= (_TOKEN_OVER_DAYS if stands else _TOKEN_DAYS) else None


def _today(now: int) -> date:
    return datetime.fromtimestamp(now / 1000, UTC).date()


def _number(version: str) -> tuple[int, int]:
    found = _FORM.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else (1 << 30, 0)
