"""Meta's Graph API: whether it is reached, whether the clocks agree, and whether it takes an event of each pixel."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp

from proxy.config.load import Config
from proxy.config.schema import Pixel, Settings
from proxy.delivery.client import GraphClient, graph_session
from proxy.doctor import ends
from proxy.doctor.finding import Finding, is_for_meta
from proxy.graph import payload
from proxy.graph.verdict import clock_ahead
from proxy.installation import now_ms
from proxy.model.event import BrowserCopy, Event
from proxy.model.verdict import Delivered, Retry
from proxy.rules.match.keys import match_keys
from proxy.telemetry.conditions import Conditions

_MOST_SECONDS = 10.0
_MOST_AHEAD_S = 60
"""Meta refuses events from the future; what tolerance it has is not documented."""
TEST_EVENT = "CapiProxyCheck"
"""A name that no report counts."""


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is wrong with Graph's version, with the connection to it, with this clock and with the tokens."""
    for finding in ends.version_findings(settings.graph.version, now_ms()):
        yield finding
    async with graph_session(_MOST_SECONDS) as session:
        found = await _connection_finding(session, settings.graph.url)
        if found:
            yield found
        # If events go to a simulator, the tokens are not Meta's.
        if is_for_meta(settings) and (found is None or found.code != "graph_unseen"):
            async for finding in token_findings(
                GraphClient(session, settings.graph, now_ms, Conditions(now_ms)), settings
            ):
                yield finding


async def _connection_finding(session: aiohttp.ClientSession, url: str) -> Finding | None:
    try:
        async with session.get(f"{url}/", allow_redirects=False) as answer:
            ahead = clock_ahead(answer.headers, now_ms())
    except TimeoutError:
        return Finding("graph_unseen", "graph.url", f"{url}: no answer in time")
    except (aiohttp.ClientError, OSError) as error:
        return Finding("graph_unseen", "graph.url", f"{url}: {str(error) or type(error).__name__}"[:200])
    if ahead is None:
        return Finding("graph_unseen", "graph.url", f"{url} answers without a Date")
    if abs(ahead) <= _MOST_AHEAD_S:
        return None
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Meta's"
    return Finding("clock_off", "", f"this machine's clock is {seen}", "timedatectl set-ntp true")


async def token_findings(client: GraphClient, settings: Settings) -> AsyncIterator[Finding]:
    """Ask Graph once about the token of each pixel, and yield what is wrong with it."""
    for pixel in {pixel.id: pixel for site in settings.site for pixel in site.pixel}.values():
        health, token = await client.token_health(pixel), pixel.access_token.get_secret_value()
        shown = health._replace(error=health.error.replace(token, "(the token)") if token else health.error)
        for finding in ends.token_health_findings(pixel.id, shown, now_ms()):
            yield finding


async def send_tests(config: Config) -> AsyncIterator[Finding]:
    """Send one test event to each pixel, and yield what Graph answered.

    For a pixel without a valid test code, a random code is used for this event alone, so no test mode is left on.
    """
    graph = config.settings.graph
    async with graph_session(graph.timeout) as session:
        client = GraphClient(session, graph, now_ms, Conditions(now_ms))
        sent: set[str] = set()
        for site in config.settings.site:
            for pixel in site.pixel:
                if pixel.id not in sent:
                    sent.add(pixel.id)
                    yield await _send_test(client, pixel, f"https://{site.domains[0]}/")


async def _send_test(client: GraphClient, pixel: Pixel, url: str) -> Finding:
    subject = f"pixel {pixel.id}"
    code = client.test_code(pixel) or f"TEST{secrets.randbelow(90_000) + 10_000}"
    record = payload.record(_test_event(pixel, url))
    verdict = await client.send(pixel, [record._replace(fields=record.fields._replace(test_event_code=code))])
    if isinstance(verdict, Delivered):
        seen = f"Graph took a {TEST_EVENT} with the test code {code} (fbtrace_id {verdict.fbtrace_id})"
        return Finding("test_event_taken", subject, seen)
    message = verdict.graph_error.message or getattr(verdict, "reason", "")
    unsent = isinstance(verdict, Retry) and not verdict.graph_error.code
    seen = f"{type(verdict).__name__.lower()}: {message}"
    return Finding("test_event_unsent" if unsent else "test_event_refused", subject, seen)


def _test_event(pixel: Pixel, url: str) -> Event:
    now = datetime.now(UTC)
    keys = match_keys({"external_id": "capi-proxy-check"})
    return Event(
        pixel=pixel.id,
        name=TEST_EVENT,
        id=f"check-{now:%Y%m%d%H%M%S%f}",
        time_s=int(now.timestamp()),
        url=url,
        referrer="",
        user_data={**keys.hashed, "client_user_agent": "capi-proxy check"},
        custom_data={},
        options=None,
        visitor=b"",
        browser_copy=BrowserCopy.PENDING,
    )
