"""Helpers that tests share: sample records, polling, a proxy with its simulator on free ports."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import machine
import orjson
import polling
from servers import simulator

from proxy.app import Running, run_proxy
from proxy.config import load
from proxy.model.event import BrowserCopy
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.rules.effort import Effort
from proxy.rules.payload.addresses import CleanAddress, clean_urls
from proxy.rules.payload.names import Allowed

PIXEL, TOKEN, SECRET = machine.PIXEL, machine.TOKEN, machine.SECRET
until = polling.until
ORIGIN = "https://shop.example"
# A public address, so that it may be sent; nothing connects to it.
VISITOR_ADDRESS = "93.184.216.34"
FAST_INGEST = True
"""Whether plain requests go past aiohttp; the tests of the edge run with both."""
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


# One time for all samples of a run, so that two with the same number are equal whenever they are made.
_STARTED = int(time.time())


def clean_url(url: str, allowed: Allowed, effort: Effort) -> CleanAddress:
    """Return one address in the form that may leave."""
    return clean_urls((url,), allowed, effort)[0]


def record(number: int = 1, *, pixel: str = PIXEL, visitor: bytes = b"abcd", time_s: int | None = None) -> Record:
    happened = _STARTED if time_s is None else time_s
    payload = orjson.dumps(
        {
            "event_name": "PageView",
            "event_time": happened,
            "event_id": f"id-{number}",
            "action_source": "website",
            "event_source_url": "https://shop.example/",
            "user_data": {"client_user_agent": USER_AGENT, "fbp": f"fb.1.1700000000000.{number}"},
        }
    )
    return Record(pixel, "PageView", f"id-{number}", happened, visitor, BrowserCopy.FIRED, "", payload)


def server_record(
    number: int = 1, fields: RequestFields = NO_FIELDS, source: str = "website", *, time_s: int | None = None
) -> Record:
    """Return a record of a server: without a visitor and without a browser copy."""
    made = record(number, visitor=b"", time_s=time_s)
    return made._replace(browser_copy=None, action_source=source, fields=fields)


def raw_config(graph_url: str, data_dir: Path, **site: Any) -> dict[str, Any]:
    return {
        "server": {
            "listen": "127.0.0.1:0",
            "operator_listen": "127.0.0.1:0",
            "trusted_proxies": ["127.0.0.1/32"],
            "fast_ingest": FAST_INGEST,
            "data_dir": str(data_dir),
            "secret": SECRET,
        },
        "graph": {"url": graph_url},
        "site": [
            {
                "name": "shop",
                "domains": ["shop.example"],
                "prefix": "/shop-tools",
                "pixel": [{"id": PIXEL, "access_token": TOKEN}],
                **site,
            }
        ],
    }


@dataclass(frozen=True)
class Installation:
    """A proxy in this process and its simulator, both real servers."""

    session: aiohttp.ClientSession
    graph: str
    proxy: Running

    @property
    def public(self) -> str:
        return f"http://{self.proxy.public.host}:{self.proxy.public.port}"

    @property
    def operator(self) -> str:
        return f"http://{self.proxy.operator.host}:{self.proxy.operator.port}"

    async def post(self, body: bytes | Mapping[str, Any], **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.session.post(
            f"{self.public}/shop-tools/e", data=data, headers=browser_headers(**headers)
        ) as answer:
            return answer.status, answer.headers, await answer.read()

    async def report(self) -> dict[str, Any]:
        return await get_json(self.session, f"{self.graph}/sim/report")

    async def fault(self, **fault: Any) -> None:
        async with self.session.post(f"{self.graph}/sim/faults", json=fault) as answer:
            assert answer.status == 200, await answer.text()

    async def counted(self, count: int, *, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until the simulator has counted this many events; return its report."""

        async def enough() -> dict[str, Any] | None:
            report = await self.report()
            return report if report["counted_once"] >= count else None

        found: dict[str, Any] = await until(enough, seconds=seconds, what=f"{count} events at the simulator")
        return found


def browser_headers(**headers: str) -> dict[str, str]:
    return {
        "Origin": ORIGIN,
        "Content-Type": "text/plain;charset=UTF-8",
        "User-Agent": USER_AGENT,
        "X-Forwarded-For": VISITOR_ADDRESS,
        "Host": "t.shop.example",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


def wire(*events: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    return {
        "v": 1,
        "sent": now,
        "url": "https://shop.example/p",
        "fbp": "fb.1.1700000000000.123456",
        "consent": "unknown",
        "events": [{"at": now, "pixels": [PIXEL], "data": {}, "pixel": "pending", **event} for event in events],
        **members,
    }


def page_views(ids: Sequence[str]) -> dict[str, Any]:
    return wire(*({"name": "PageView", "id": identity} for identity in ids))


async def get_json(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    async with session.get(address) as answer:
        assert answer.status == 200, await answer.text()
        document: dict[str, Any] = orjson.loads(await answer.read())
        return document


@asynccontextmanager
async def installation(
    directory: Path,
    *,
    more: Mapping[str, Mapping[str, Any]] | None = None,
    refused_with: Collection[int] = (),
    others: Sequence[Mapping[str, Any]] = (),
    **site: Any,
) -> AsyncIterator[Installation]:
    """Run a proxy in this process against a simulator of its own.

    Args:
        directory: Where it keeps its files.
        more: Settings by table.
        refused_with: Graph's error codes that the test expects.
        others: Further sites.
        **site: Settings of the site.
    """
    async with simulator(expected=refused_with) as graph, aiohttp.ClientSession() as session:
        raw = raw_config(graph, directory / "data", **site)
        raw["site"] += others
        for table, settings in (more or {}).items():
            raw[table] = {**raw.get(table, {}), **settings}
        loaded = load.parse(raw, {}, base=directory)
        async with run_proxy(loaded) as proxy:
            yield Installation(session, graph, proxy)
