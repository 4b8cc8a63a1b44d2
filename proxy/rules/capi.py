"""Graph's own language: event → payload, payloads → request body, answer → ``Verdict``.

Sources: Meta, Conversions API "using the API" (a batch is rejected whole), Graph API error handling (codes), and
recorded answers of live calls. Texts are localised and never looked at; HTTP status is the weakest sign, since 190
and 17 have been seen with 400, 401 and 500.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

import orjson

from proxy.model import Dead, Delivered, Event, Pause, Record, Retry, Split, Verdict, Words

MAX_BATCH = 1000

_PAUSES = {190: "token", 102: "token", **dict.fromkeys((3, 10, *range(200, 300)), "permission")}
_RETRIES = {
    # 21009, a dataset that is not ready for uploads, was recorded once by a third party; waiting loses nothing.
    **dict.fromkeys((1, 2, 21009), "down"),
    **dict.fromkeys((4, 17, 32, 341, 613, *range(80000, 80015)), "throttled"),
    368: "blocked",
}
# 368 is a policy block on the account: waiting a little never helps.
_BLOCKED_SECONDS = 300.0
# No header, however odd, makes events wait until they are too old.
_LONGEST_SECONDS = 3600.0
_INVALID = 100
_NO_OBJECT = 33
_TOO_LARGE = 413
_CONTENT_SUBCODES = range(2804000, 2804100)
_BUSY_STATUS = {408, 429}
# From here on the app is about to be throttled (usage headers are percentages).
_USAGE_FULL = 95


def shared(event: Event) -> bytes:
    """Return what all events of one request and pixel say alike, as Graph takes it (Meta, server event parameters)."""
    payload: dict[str, Any] = {"action_source": "website", "user_data": event.user_data}
    if event.url:
        payload["event_source_url"] = event.url
    if event.referrer:
        payload["referrer_url"] = event.referrer
    if event.options is not None:
        options, country, state = event.options
        payload["data_processing_options"] = options
        payload["data_processing_options_country"] = country
        payload["data_processing_options_state"] = state
    return orjson.dumps(payload)


def record(event: Event, alike: bytes | None = None) -> Record:
    """Write an event as Graph takes it, in two parts; ``alike`` is the shared one, when it was written already."""
    payload: dict[str, Any] = {"event_name": event.name, "event_time": event.time_s, "event_id": event.id}
    if event.custom_data:
        payload["custom_data"] = event.custom_data
    return Record(
        pixel=event.pixel,
        name=event.name,
        id=event.id,
        time_s=event.time_s,
        visitor=event.visitor,
        fate=event.fate,
        mark=event.mark,
        payload=orjson.dumps(payload),
        findings=event.findings,
        people=event.people,
        worth=_worth(event),
        shared=shared(event) if alike is None else alike,
    )


def _worth(event: Event) -> bytes:
    value = event.custom_data.get("value")
    if event.name != "Purchase" or not isinstance(value, int | float):
        return b""
    return blake2b(f"{value:.4f} {event.custom_data.get('currency')}".encode(), digest_size=4).digest()


def body(payloads: Iterable[bytes], *, access_token: str, app_secret: str = "", test_event_code: str = "") -> bytes:
    """Return the JSON body of one request; the token rides here and never in the address."""
    extras = {"access_token": access_token}
    if app_secret:
        extras["appsecret_proof"] = proof(access_token, app_secret)
    if test_event_code:
        extras["test_event_code"] = test_event_code
    return b'{"data":[' + b",".join(payloads) + b"]," + orjson.dumps(extras)[1:]


def proof(access_token: str, app_secret: str) -> str:
    """Return ``appsecret_proof``: HMAC-SHA256 of the token, keyed with the app's secret, in lower-case hex."""
    return hmac.new(app_secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()


def judge(status: int, answer: bytes, headers: Mapping[str, str], size: int) -> Verdict:
    """Say what Graph's answer to a batch of ``size`` events means.

    Error code and subcode decide first, then ``is_transient``, then the HTTP status.
    """
    document = _parsed(answer)
    error = document.get("error") if document else None
    if isinstance(error, dict):
        return _judge_error(status, error, headers, size)
    if 200 <= status < 300 and document is not None:
        return _judge_success(document, headers, size)
    words = Words(message=f"HTTP {status} without a Graph error")
    # Whatever stands between us and Graph may answer for it; only "too large" is worth believing.
    return _content(words, size) if status == _TOO_LARGE else Retry(f"http_{status}", _wait(headers), words=words)


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
    """Return by how many seconds ``now`` (ms) is ahead of the clock of who answered; None if it does not say."""
    try:
        said = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return now / 1000 - said.timestamp()


def _business_usage(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    usage = _header(headers, "X-Business-Use-Case-Usage")
    return [entry for entries in usage.values() if isinstance(entries, list) for entry in entries if _is_object(entry)]


def _judge_error(status: int, error: Mapping[str, Any], headers: Mapping[str, str], size: int) -> Verdict:
    words = _words(error)
    code, transient = words.code, error.get("is_transient") is True
    no_object = code == _INVALID and words.subcode == _NO_OBJECT
    if pause := "permission" if no_object else _PAUSES.get(code or 0):
        return Pause(pause, words)
    if retry := _RETRIES.get(code or 0):
        return Retry(retry, max(_wait(headers), _BLOCKED_SECONDS if retry == "blocked" else 0), words=words)
    if code == _INVALID and (words.subcode in _CONTENT_SUBCODES or not transient):
        return _content(words, size)
    if transient:
        return Retry("transient", _wait(headers), words=words)
    return _judge_status(status, words, headers, size)


def _judge_success(document: Mapping[str, Any], headers: Mapping[str, str], size: int) -> Verdict:
    received = document.get("events_received")
    count = _whole(received) or 0
    trace = _text(document.get("fbtrace_id"))
    if count > 0:
        return Delivered(count, size, trace, cooldown(headers))
    message = "2xx without events_received" if received is None else f"events_received: {received!r}"[:100]
    return Retry("not_received", _wait(headers), strike=True, words=Words(message=message, fbtrace_id=trace))


def _judge_status(status: int, words: Words, headers: Mapping[str, str], size: int) -> Verdict:
    if 400 <= status < 500 and status not in _BUSY_STATUS:
        return _content(words, size)
    return Retry(f"http_{status}", _wait(headers), words=words)


def _content(words: Words, size: int) -> Verdict:
    return Split(words) if size > 1 else Dead("rejected", words)


def is_content_subcode(subcode: int | None) -> bool:
    """Tell whether a subcode speaks of one event's content (28040xx), never of the whole pixel."""
    return subcode in _CONTENT_SUBCODES


def _words(error: Mapping[str, Any]) -> Words:
    message = _text(error.get("error_user_msg")) or _text(error.get("message"))
    return Words(_whole(error.get("code")), _whole(error.get("error_subcode")), message, _text(error.get("fbtrace_id")))


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
