"""What Graph's answers mean: answer → ``Verdict``.

Sources: Meta, Conversions API "using the API" (a batch is rejected whole), Graph API error handling (codes), and
recorded answers of live calls. Texts are localised and never looked at; HTTP status is the weakest sign, since 190
and 17 have been seen with 400, 401 and 500.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from proxy.graph.law import CONTENT_SUBCODES, INVALID, NO_OBJECT, PAUSE_CODES, RETRY_CODES
from proxy.model.verdict import Dead, Delivered, GraphError, Pause, Retry, Split, Verdict

# Waiting a little never lifts a policy block.
_BLOCKED_SECONDS = 300.0
# The longest wait, so that no header, however odd, makes events wait until they are too old.
_LONGEST_SECONDS = 3600.0
_TOO_LARGE = 413
_BUSY_STATUS = {408, 429}
# From here on the app is about to be throttled (usage headers are percentages).
_USAGE_FULL = 95


def judge(status: int, answer: bytes, headers: Mapping[str, str], size: int) -> Verdict:
    """Return what Graph's answer to a batch means.

    Error code and subcode decide first, then ``is_transient``, then the HTTP status.

    Args:
        status: The HTTP status.
        answer: The body of the answer.
        headers: The headers of the answer; names are looked up regardless of case.
        size: How many events the batch has.
    """
    document = _parsed(answer)
    error = document.get("error") if document else None
    if isinstance(error, dict):
        return _judge_error(status, error, headers, size)
    if 200 <= status < 300 and document is not None:
        return _judge_success(document, headers, size)
    graph_error = GraphError(message=f"HTTP {status} without a Graph error")
    # The answer may come from a server between us and Graph; only "too large" is believed.
    return (
        _content(graph_error, size)
        if status == _TOO_LARGE
        else Retry(f"http_{status}", _wait(headers), graph_error=graph_error)
    )


def cooldown(headers: Mapping[str, str]) -> float:
    """Return how many seconds the usage headers of an answer ask to wait; 0 below the limit.

    ``estimated_time_to_regain_access`` is in minutes, according to clients that rely on it.
    """
    entries = [_header(headers, "X-App-Usage"), _header(headers, "X-Ad-Account-Usage"), *_business_usage(headers)]
    waits = [_number(entry.get("estimated_time_to_regain_access")) * 60 for entry in entries]
    full = any(_number(value) >= _USAGE_FULL for entry in entries for key, value in entry.items() if key in _USAGE_KEYS)
    return min(_LONGEST_SECONDS, max([*waits, 60.0 if full else 0.0]))


_USAGE_KEYS = ("call_count", "total_time", "total_cputime", "acc_id_util_pct")


def clock_ahead(headers: Mapping[str, str], now: int) -> float | None:
    """Return by how many seconds ``now`` (ms) is ahead of the answering server's clock; None without a ``Date``."""
    try:
        said = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return now / 1000 - said.timestamp()


def _business_usage(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    usage = _header(headers, "X-Business-Use-Case-Usage")
    return [entry for entries in usage.values() if isinstance(entries, list) for entry in entries if _is_object(entry)]


def _judge_error(status: int, error: Mapping[str, Any], headers: Mapping[str, str], size: int) -> Verdict:
    graph_error = _graph_error(error)
    code, transient = graph_error.code, error.get("is_transient") is True
    is_no_object = (code, graph_error.subcode) == NO_OBJECT
    if pause := "permission" if is_no_object else PAUSE_CODES.get(code or 0):
        return Pause(pause, graph_error)
    if retry := RETRY_CODES.get(code or 0):
        return Retry(retry, max(_wait(headers), _BLOCKED_SECONDS if retry == "blocked" else 0), graph_error=graph_error)
    if code == INVALID and (graph_error.subcode in CONTENT_SUBCODES or not transient):
        return _content(graph_error, size)
    if transient:
        return Retry("transient", _wait(headers), graph_error=graph_error)
    return _judge_status(status, graph_error, headers, size)


def _judge_success(document: Mapping[str, Any], headers: Mapping[str, str], size: int) -> Verdict:
    received = document.get("events_received")
    count = _whole(received) or 0
    trace = _text(document.get("fbtrace_id"))
    if count > 0:
        return Delivered(count, size, trace, cooldown(headers))
    message = "2xx without events_received" if received is None else f"events_received: {received!r}"[:100]
    return Retry(
        "not_received", _wait(headers), uncounted=True, graph_error=GraphError(message=message, fbtrace_id=trace)
    )


def _judge_status(status: int, graph_error: GraphError, headers: Mapping[str, str], size: int) -> Verdict:
    if 400 <= status < 500 and status not in _BUSY_STATUS:
        return _content(graph_error, size)
    return Retry(f"http_{status}", _wait(headers), graph_error=graph_error)


def _content(graph_error: GraphError, size: int) -> Verdict:
    return Split(graph_error) if size > 1 else Dead("rejected", graph_error)


def is_content_subcode(subcode: int | None) -> bool:
    """Tell whether a subcode is about the content of one event (28040xx), and not about the whole pixel."""
    return subcode in CONTENT_SUBCODES


def _graph_error(error: Mapping[str, Any]) -> GraphError:
    message = _text(error.get("error_user_msg")) or _text(error.get("message"))
    return GraphError(
        _whole(error.get("code")), _whole(error.get("error_subcode")), message, _text(error.get("fbtrace_id"))
    )


def _wait(headers: Mapping[str, str]) -> float:
    """Return the seconds an answer asks to wait: ``Retry-After`` in seconds, or the usage headers."""
    return max(min(_LONGEST_SECONDS, _number(headers.get("Retry-After"))), cooldown(headers))


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _header(headers: Mapping[str, str], name: str) -> dict[str, Any]:
    return _parsed(headers.get(name, "").encode(errors="replace")) or {}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _number(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value[:500] if isinstance(value, str) else ""
