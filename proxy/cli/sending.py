"""Sending of batches to the running proxy: what its answers mean, and how long it is waited for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
import orjson

from proxy.backfill.batches import EventBatch

_ANSWER_S = 120
_PATIENCE_S = 300
_SHORTEST_S, _LONGEST_S = 0.5, 30.0
_TOO_LARGE = 413
_LATER = frozenset({408, 429})
_AUTHENTICATION = frozenset({401, 403})


class StoppedError(Exception):
    """Nothing more can be sent now; the text says why and what to do."""


class Outcome(NamedTuple):
    """What became of the events of a batch."""

    sent: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    """Lines whose event was refused, with the reason."""
    unnamed: int = 0
    """Events that were refused beyond those that the answer names."""

    def __add__(self, more: "Outcome") -> "Outcome":  # type: ignore[override]
        """Return what became of the events of both batches."""
        return Outcome(self.sent + more.sent, self.refused + more.refused, self.unnamed + more.unnamed)


def is_address(url: str) -> bool:
    """Tell whether a path can be put behind a text and sent to; what is no address would be waited for in vain."""
    try:
        parts = urlsplit(url)
        # A name with an empty or overlong label; credentials would stand in the place of the access key.
        is_host = bool((parts.hostname or "").encode("idna")) and "@" not in parts.netloc
        return parts.scheme in ("http", "https") and is_host and parts.port != 0 and not parts.query + parts.fragment
    except ValueError:
        return False


class Sender:
    """Sends batches to the Gateway door of a running proxy, which keeps the good events and names the bad ones.

    Args:
        session: With which is sent.
        url: Of the door.
        key: The access key.
        sleep: Waits so many seconds.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        key: str,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._sleep = sleep
        self._clock = clock

    async def send(self, batch: EventBatch, on_wait: Callable[[str], object] = lambda _: None) -> Outcome:
        """Send the events of a batch until the proxy has acknowledged or refused each.

        Args:
            batch: The events.
            on_wait: Is told once a request why the proxy is waited for, when a short pause has not helped.

        Raises:
            StoppedError: When that is not possible now.
        """
        status, body = await self._answered(batch.body(), on_wait)
        if status == _TOO_LARGE and len(batch.events) > 1:
            first, second = batch.halves()
            return await self.send(first, on_wait) + await self.send(second, on_wait)
        error = _error(body)
        if error:
            return _refusal(batch, status, error)
        outcome = _outcome(batch, body) if 200 <= status < 300 else None
        if outcome is None:
            raise StoppedError(f"what answers at {self._url} is no capi-proxy that takes server events ({status})")
        return outcome

    async def _answered(self, body: bytes, on_wait: Callable[[str], object]) -> tuple[int, bytes]:
        """Return the answer to a request; wait and ask again while there is none, or it says that it is too early."""
        begun, pause, why = self._clock(), _SHORTEST_S, ""
        while True:
            try:
                status, answer, retry_after = await self._post(body)
                if status < 500 and status not in _LATER:
                    return status, answer
                why = f"it answers {status}"
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                retry_after, why = 0.0, f"it cannot be reached ({type(error).__name__})"
            if self._clock() - begun > _PATIENCE_S:
                raise StoppedError(
                    f"the proxy at {self._url} takes nothing: {why}. Start it, and run the command again"
                )
            if pause == 2 * _SHORTEST_S:
                on_wait(f"the proxy at {self._url} takes nothing yet: {why}; waiting {_PATIENCE_S // 60} minutes")
            await self._sleep(max(pause, min(retry_after, 2 * _LONGEST_S)))
            pause = min(2 * pause, _LONGEST_S)

    async def _post(self, body: bytes) -> tuple[int, bytes, float]:
        async with self._session.post(
            self._url,
            data=body,
            headers=self._headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
        ) as response:
            after = response.headers.get("Retry-After", "")
            return (
                response.status,
                await response.read(),
                float(after) if after.isascii() and after.isdecimal() else 0.0,
            )


def _error(body: bytes) -> dict[str, Any]:
    """Return Graph's error of an answer; nothing when it has none."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


class _RefusedEvent(msgspec.Struct):
    index: int
    why: str = ""


class _Accepted(msgspec.Struct):
    events_received: int
    refused: list[_RefusedEvent] = []


def _outcome(batch: EventBatch, body: bytes) -> Outcome | None:
    """Return what an answer says of the events; None when it is not that of the door."""
    try:
        answer = msgspec.json.decode(body, type=_Accepted)
        named = tuple((batch.lines[item.index], item.why) for item in answer.refused)
    except (msgspec.MsgspecError, IndexError):
        return None
    unnamed = len(batch.events) - answer.events_received - len(named)
    return Outcome(answer.events_received, named, unnamed) if min(answer.events_received, unnamed) >= 0 else None


def _refusal(batch: EventBatch, status: int, error: dict[str, Any]) -> Outcome:
    """Return that every event was refused, where the error is about events."""
    why = str(error.get("error_user_msg") or error.get("message") or status)
    match error.get("error_data"):
        case {"blame_field_specs": [["data", *_], *_]} if status not in _AUTHENTICATION:
            return Outcome(0, ((batch.lines[0], why),), len(batch.events) - 1)
    raise StoppedError(f"the proxy refuses the request: {why}")
