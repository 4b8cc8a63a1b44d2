"""Sends batches to the running proxy: what its answers mean, and how long to wait for it."""

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
_RETRY_STATUSES = frozenset({408, 429})
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
    """Tell whether a text is an address that a path can be appended to; else requests would be retried in vain."""
    try:
        parts = urlsplit(url)
        # A name with an empty or overlong label cannot be encoded; credentials would replace the access key.
        is_host = bool((parts.hostname or "").encode("idna")) and "@" not in parts.netloc
        return parts.scheme in ("http", "https") and is_host and parts.port != 0 and not parts.query + parts.fragment
    except ValueError:
        return False


class Sender:
    """Sends batches to the Gateway endpoint of a running proxy, which keeps the good events and names the bad ones.

    Args:
        session: Makes the requests.
        url: The address of the endpoint.
        key: The access key.
        sleep: Waits for a number of seconds.
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
            on_wait: Called at most once per request, after a first short pause has not helped, with the reason for
                waiting.

        Raises:
            StoppedError: When the proxy does not answer for a while, or refuses the request for a reason that lies in
                no event.
        """
        status, body = await self._post_with_retries(batch.body(), on_wait)
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

    async def _post_with_retries(self, body: bytes, on_wait: Callable[[str], object]) -> tuple[int, bytes]:
        """Return status and body of the answer; retry with back-off while there is none, or it says to try later.

        Raises:
            StoppedError: When that has lasted for longer than ``_PATIENCE_S``.
        """
        begun, pause, why = self._clock(), _SHORTEST_S, ""
        while True:
            try:
                status, answer, retry_after = await self._post(body)
                if status < 500 and status not in _RETRY_STATUSES:
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
    """Return the error of an answer, in Graph's format; empty when it has none."""
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
    """Return what an answer says of the events; None when it is no answer of the Gateway endpoint."""
    try:
        answer = msgspec.json.decode(body, type=_Accepted)
        named = tuple((batch.lines[item.index], item.why) for item in answer.refused)
    except (msgspec.MsgspecError, IndexError):
        return None
    unnamed = len(batch.events) - answer.events_received - len(named)
    return Outcome(answer.events_received, named, unnamed) if min(answer.events_received, unnamed) >= 0 else None


def _refusal(batch: EventBatch, status: int, error: dict[str, Any]) -> Outcome:
    """Return the outcome of a request that failed because of its events: all of them are refused.

    Raises:
        StoppedError: When the error is not about events.
    """
    why = str(error.get("error_user_msg") or error.get("message") or status)
    match error.get("error_data"):
        case {"blame_field_specs": [["data", *_], *_]} if status not in _AUTHENTICATION:
            return Outcome(0, ((batch.lines[0], why),), len(batch.events) - 1)
    raise StoppedError(f"the proxy refuses the request: {why}")
