"""What ``check`` looks at once the configuration itself is sound."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from proxy.app import UnsafeInstallationError, now_ms, require_c_parser
from proxy.config import Config
from proxy.edge.conditions import Conditions
from proxy.edge.graph import Graph, graph_session
from proxy.model import Delivered, Event, Fate
from proxy.queue.local import DataDirBusyError, DataDirLock
from proxy.rules import capi
from proxy.rules.paths import concerns
from proxy.rules.pii import match_keys
from proxy.settings import Pixel, Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the owner should know; ``failed`` makes the check fail."""

    text: str
    failed: bool = False


def findings(config: Config) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about running this configuration here."""
    settings = config.settings
    try:
        require_c_parser()
    except UnsafeInstallationError as error:
        yield Finding(str(error), failed=True)
    yield from _data_dir(config)
    yield from _network(settings)
    for index, site in enumerate(settings.site):
        for concern in concerns(site):
            yield Finding(f"site[{index}].{concern.key}: {concern.value!r} {concern.why}; better: {concern.better}")
        for number, pixel in enumerate(site.pixel):
            if pixel.test_event_code and pixel.test_event_until is None:
                path = f"site[{index}].pixel[{number}].test_event_code"
                yield Finding(f"{path}: set without test_event_until; test events count in reports, so give it an end")


def _data_dir(config: Config) -> Iterator[Finding]:
    if not config.settings.server.secret.get_secret_value():
        yield Finding(f"server.secret: not set; one is kept in {config.data_dir}, so back that directory up")
    try:
        DataDirLock(config.data_dir).close()
    except DataDirBusyError:
        yield Finding(f"server.data_dir: {config.data_dir} is in use by a running proxy")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        yield Finding(f"server.data_dir: {config.data_dir} cannot be written ({reason})", failed=True)


def _network(settings: Settings) -> Iterator[Finding]:
    host = urlsplit(settings.graph.url).hostname or ""
    if settings.graph.url.startswith("http://") and not _is_local(host):
        yield Finding(f"graph.url: {settings.graph.url} would carry tokens unencrypted; use https", failed=True)
    if _is_local(settings.server.listen.host) and not settings.server.trusted_proxies:
        yield Finding(
            "server.trusted_proxies: empty, but the public listener is loopback, so a proxy stands in front: every"
            ' visitor would have its address; usually ["127.0.0.1/32", "::1/128"]'
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def send_tests(config: Config) -> AsyncIterator[Finding]:
    """Send one test event to each pixel and say what Graph answered."""
    graph = config.settings.graph
    async with graph_session(graph.timeout) as session:
        sender = Graph(session, graph, now_ms, Conditions(now_ms))
        for site in config.settings.site:
            for pixel in site.pixel:
                if not sender.test_code(pixel):
                    yield Finding(f"pixel {pixel.id}: no valid test_event_code, so no test event was sent", failed=True)
                    continue
                verdict = await sender.send(pixel, [capi.record(_test_event(pixel, f"https://{site.domains[0]}/"))])
                if isinstance(verdict, Delivered):
                    yield Finding(f"pixel {pixel.id}: Graph took a test event (fbtrace_id {verdict.fbtrace_id})")
                else:
                    message = verdict.words.message or getattr(verdict, "reason", "")
                    yield Finding(f"pixel {pixel.id}: {type(verdict).__name__.lower()}: {message}", failed=True)


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
        fate=Fate.PENDING,
    )
