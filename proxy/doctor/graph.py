"""Whether Meta takes an event: one test event to each pixel."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from proxy.config.load import Config
from proxy.config.schema import Pixel
from proxy.delivery.client import GraphClient, graph_session
from proxy.doctor.finding import Finding
from proxy.graph import payload
from proxy.installation import now_ms
from proxy.model.event import BrowserCopy, Event
from proxy.model.verdict import Delivered
from proxy.rules.match.keys import match_keys
from proxy.telemetry.conditions import Conditions


async def send_tests(config: Config) -> AsyncIterator[Finding]:
    """Send one test event to each pixel that has a valid test code, and yield what Graph answered."""
    graph = config.settings.graph
    async with graph_session(graph.timeout) as session:
        client = GraphClient(session, graph, now_ms, Conditions(now_ms))
        for site in config.settings.site:
            for pixel in site.pixel:
                if not client.test_code(pixel):
                    yield Finding(
                        f"pixel {pixel.id}", "no valid test_event_code, so no test event was sent", failing=True
                    )
                    continue
                verdict = await client.send(pixel, [payload.record(_test_event(pixel, f"https://{site.domains[0]}/"))])
                if isinstance(verdict, Delivered):
                    yield Finding(f"pixel {pixel.id}", f"Graph took a test event (fbtrace_id {verdict.fbtrace_id})")
                else:
                    message = verdict.graph_error.message or getattr(verdict, "reason", "")
                    yield Finding(f"pixel {pixel.id}", f"{type(verdict).__name__.lower()}: {message}", failing=True)


def _test_event(pixel: Pixel, url: str) -> Event:
    now = datetime.now(UTC)
    keys = match_keys({"external_id": "capi-proxy-check"})
    return Event(
        pixel=pixel.id,
        name="PageView",
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
