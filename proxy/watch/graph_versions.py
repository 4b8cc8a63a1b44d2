"""When versions of the Graph API end, which Meta announces beforehand. No I/O, no clock."""

import re
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from proxy.graph.law import VERSION_ENDS

_VERSION_DAYS: Final = 90
_FORM = re.compile(r"v(\d+)\.(\d+)")


class VersionEnd(NamedTuple):
    """The last day of something, and how many are left."""

    day: date
    days: int
    """Days until then; negative when it is over."""


def version_end(version: str, now: int) -> VersionEnd | None:
    """Return when a version ends, if that is near or past; None when it is far or not known.

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
    return VersionEnd(day, days) if days <= _VERSION_DAYS else None


def _today(now: int) -> date:
    return datetime.fromtimestamp(now / 1000, UTC).date()


def _number(version: str) -> tuple[int, int]:
    found = _FORM.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else (1 << 30, 0)
