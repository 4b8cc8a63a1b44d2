"""The client of Graph: sends a batch of events, and returns the verdict of the answer."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from proxy import __version__
from proxy.config.schema import GraphSettings, Pixel
from proxy.graph import payload, verdict
from proxy.graph.error_text import without_secret
from proxy.graph.token_health import TokenHealth, token_health
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.model.pixel_order import PixelOrder
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.model.verdict import Retry, Verdict

AGENT = f"capi-proxy-{__version__}"
"""The ``partner_agent`` of events whose sender named none (Meta, using the API)."""
# Answers of Graph have a few hundred bytes; a server that answers in its place must not fill the memory.
_MOST_ANSWER_BYTES = 1 << 20
# Meta refuses events from the future; how many seconds it tolerates is not documented.
_MOST_AHEAD_S = 60


class GraphClient:
    """Sends batches, each of one pixel; an error of the network or of Graph becomes a verdict, and is not raised."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: GraphSettings,
        now: Callable[[], int],
        conditions: ConditionBoard,
    ) -> None:
        """Store what a request needs.

        Args:
            session: See ``graph_session``.
            settings: Where Graph is, and which version is spoken.
            now: Server clock in milliseconds.
            conditions: Are told when this clock and Meta's differ.
        """
        self._conditions = conditions
        self._session = session
        self._base = f"{settings.url.rstrip('/')}/{settings.version}"
        self._now = now
        self.orders: Mapping[str, PixelOrder] = {}
        """The operator's orders, by pixel."""

    async def send(self, pixel: Pixel, records: Sequence[Record]) -> Verdict:
        """Send one batch, of records with the same request fields, and judge the answer."""
        body = payload.body(
            (record.whole for record in records),
            access_token=pixel.access_token.get_secret_value(),
            app_secret=pixel.app_secret.get_secret_value(),
            fields=self._fields(pixel, records[0].fields),
        )
        try:
            async with self._session.post(
                f"{self._base}/{pixel.id}/events",
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                self._compare_clocks(verdict.clock_ahead(response.headers, self._now()) or 0.0)
                judged = verdict.judge(response.status, await _read(response), response.headers, len(records))
                return without_secret(judged, pixel.access_token.get_secret_value())
        except TimeoutError:
            return Retry("timeout")
        except (aiohttp.ClientError, OSError):
            return Retry("network")

    async def token_health(self, pixel: Pixel) -> TokenHealth:
        """Return what Graph says of a pixel's access token; only Graph is sent it, and the result does not hold it."""
        token, now = pixel.access_token.get_secret_value(), self._now()
        query = {"input_token": token, "access_token": token}
        if secret := pixel.app_secret.get_secret_value():
            query["appsecret_proof"] = payload.proof(token, secret)
        try:
            async with self._session.get(f"{self._base}/debug_token", params=query, allow_redirects=False) as response:
                return token_health(response.status, await _read(response), now)
        except TimeoutError:
            return TokenHealth(now, error="timeout")
        except (aiohttp.ClientError, OSError) as error:
            return TokenHealth(now, error=f"network: {type(error).__name__}")

    def _fields(self, pixel: Pixel, fields: RequestFields) -> RequestFields:
        """Return the request fields beside the events: the sender's, completed with test code and our agent name."""
        test_event_code = fields.test_event_code or self.test_code(pixel)
        return fields._replace(test_event_code=test_event_code, partner_agent=fields.partner_agent or AGENT)

    def _compare_clocks(self, ahead: float) -> None:
        if abs(ahead) > _MOST_AHEAD_S:
            self._conditions.report("clock", detail=details.clock_differs(ahead))
        else:
            self._conditions.clear("clock")

    def test_code(self, pixel: Pixel) -> str:
        """Return the pixel's test event code while it is valid: the operator's before that of the configuration."""
        if ordered := self.orders.get(pixel.id, PixelOrder()).test_code_at(self._now()):
            return ordered
        today = datetime.fromtimestamp(self._now() / 1000, UTC).date()
        over = pixel.test_event_until is not None and today > pixel.test_event_until
        return "" if over else pixel.test_event_code


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer, of a too long one only about the first MiB."""
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > _MOST_ANSWER_BYTES:
            break
    return bytes(answer)


@asynccontextmanager
async def graph_session(most_seconds: float) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the client session to Graph: no cookies, verified TLS, ``most_seconds`` for a whole request.

    Connections are not bounded here: each lane bounds its own, and in a pool that all share, pixels whose requests hang
    would keep the connections that a healthy pixel waits for.
    """
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=most_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
    ) as session:
        yield session
