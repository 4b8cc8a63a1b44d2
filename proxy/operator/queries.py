"""The parameters by which events, dead letters and time ranges are chosen."""

from collections.abc import Mapping
from typing import NamedTuple

from multidict import MultiMapping

from proxy.model.event import BrowserCopy
from proxy.model.ledger import Status
from proxy.model.units import HOUR_MS
from proxy.operator.documents import BadQueryError, row_limit, whole_number
from proxy.queue.contract import FROM_SERVER, MOST_IDS, Filter

_COPIES = (*BrowserCopy, FROM_SERVER)
_MOST_MS = 1 << 52
_DAY_MS = 24 * HOUR_MS
_LONG_MS = 8 * _DAY_MS
_MOST_WORD, _MOST_ID = 200, 400


class TimeRange(NamedTuple):
    """From a moment on, and before another: milliseconds."""

    since: int
    until: int

    @property
    def is_long(self) -> bool:
        """Whether it is read by day, as there would be too many hours."""
        return self.until - self.since > _LONG_MS

    @property
    def since_hour(self) -> int:
        """The hour in which it begins: hours since 1970, UTC."""
        return self.since // HOUR_MS

    @property
    def until_hour(self) -> int:
        """The first hour after its end."""
        return -(-self.until // HOUR_MS)


def time_range(query: Mapping[str, str], now: int) -> TimeRange:
    """Return the range that is wanted; without one, the last day.

    Raises:
        BadQueryError: when a parameter is no moment, or the range ends before it begins.
    """
    since, until = _moment(query, "from"), _moment(query, "to")
    until = now if until is None else until
    since = max(0, until - _DAY_MS) if since is None else since
    _check_order(since, until)
    return TimeRange(since, until)


def event_filter(query: MultiMapping[str]) -> Filter:
    """Return which finished or waiting events are wanted.

    Raises:
        BadQueryError: when a parameter has a value that is not accepted.
    """
    since_ms, until_ms = _moment(query, "from"), _moment(query, "to")
    if since_ms is not None and until_ms is not None:
        _check_order(since_ms, until_ms)
    ids = tuple(dict.fromkeys(text for text in query.getall("id", []) if text))
    if len(ids) > MOST_IDS:
        raise BadQueryError(f"id: {len(ids)} of them; accepted: up to {MOST_IDS}")
    return Filter(
        pixel=_text(query, "pixel"),
        name=_text(query, "name"),
        id=ids[0][:_MOST_ID] if len(ids) == 1 else "",
        ids=ids if len(ids) > 1 else (),
        site=_text(query, "site"),
        reason=_text(query, "reason"),
        action_source=_text(query, "action_source"),
        status=_status(query),
        browser_copy=_browser_copy(query),
        since=_number(query, "since", "an event"),
        since_ms=since_ms,
        until_ms=until_ms,
        below=_text(query, "below"),
        limit=row_limit(_limits(query)),
    )


def dead_filter(query: Mapping[str, str]) -> Filter:
    """Return which dead letters are wanted.

    Raises:
        BadQueryError: when a parameter has a value that is not accepted.
    """
    return Filter(
        pixel=_text(query, "pixel"),
        name=_text(query, "name"),
        id=query.get("id", "")[:_MOST_ID],
        reason=_text(query, "reason"),
        before=_number(query, "before", "a dead letter") or 0,
        limit=row_limit(_limits(query)),
    )


def _text(query: Mapping[str, str], key: str) -> str:
    return query.get(key, "")[:_MOST_WORD]


def _limits(query: Mapping[str, str]) -> Mapping[str, str]:
    return {"limit": query.get("limit", "")} if "limit" in query else {}


def _status(query: Mapping[str, str]) -> Status | None:
    text = query.get("status", "")
    if not text:
        return None
    if text.lower() not in set(Status):
        raise BadQueryError(f"status: {text[:20]!r}; accepted: {', '.join(Status)}, and /api/waiting for what waits")
    return Status(text.lower())


def _browser_copy(query: Mapping[str, str]) -> str:
    text = query.get("browser_copy", "").lower()
    if text and text not in _COPIES:
        raise BadQueryError(f"browser_copy: {text[:20]!r}; accepted: {', '.join(_COPIES)}")
    return text


def _moment(query: Mapping[str, str], key: str) -> int | None:
    if key not in query or not query.get(key, ""):
        return None
    number = whole_number(query.get(key, ""))
    if number is None or number > _MOST_MS:
        raise BadQueryError(f"{key}: {query.get(key, '')[:20]!r}; accepted: milliseconds since 1970")
    return number


def _check_order(since: int, until: int) -> None:
    if since >= until:
        raise BadQueryError(f"from: {since}; accepted: a moment before to ({until})")


def _number(query: Mapping[str, str], key: str, numbered: str) -> int | None:
    if key not in query:
        return None
    number = whole_number(query.get(key, ""))
    if number is None:
        raise BadQueryError(f"{key}: {query.get(key, '')[:20]!r}; accepted: the number of {numbered}")
    return number
