"""The demo: simulator, sample shop, proxy and dashboard on loopback, wired without any configuration file."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from proxy.app import run_proxy
from proxy.config import load
from proxy.edge.tag.build import trap_of
from proxy.model.keys import prefix_of
from proxy.simulator.graph.app import make_app
from proxy.simulator.shop.app import ShopSettings, make_shop

_HOST = "127.0.0.1"
_NAME = "localhost"  # what the pages use: cookies of localhost reach all four ports
_PIXEL = "1234567890"
_SECRET = "a secret for the demo, which keeps nothing"  # noqa: S105 - nothing to protect


@dataclass(frozen=True, slots=True)
class Demo:
    """Addresses to open."""

    shop: str
    pairs: str
    dashboard: str
    simulator: str
    tag: str


@asynccontextmanager
async def run_demo(port: int) -> AsyncIterator[Demo]:
    """Serve the demo on ``port`` and the three ports after it.

    Raises:
        OSError: when one of the ports is taken.
    """
    shop, proxy, operator, simulator = (f"http://{_NAME}:{port + step}" for step in range(4))
    prefix = f"{proxy}{prefix_of(_SECRET, 'demo')}"
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="capi-proxy-demo-"))
        loaded = _config(port, simulator, Path(directory))
        trap = trap_of(loaded.settings.site[0])
        settings = ShopSettings(_PIXEL, f"{prefix}/m.js", f"{prefix}/n.gif", simulator, operator, trap)
        await _serve(stack, make_app(), port + 3)
        await stack.enter_async_context(run_proxy(loaded))
        await _serve(stack, make_shop(settings), port)
        yield Demo(shop, f"{shop}/pairs", operator, simulator, settings.tag_url)


def _config(port: int, simulator: str, directory: Path) -> load.Config:
    raw = {
        "server": {
            "listen": f"{_HOST}:{port + 1}",
            "operator_listen": f"{_HOST}:{port + 2}",
            # If somebody puts a web server before the demo, the demo sees the visitors' addresses, as on a real site.
            "trusted_proxies": ["127.0.0.1/32"],
            "data_dir": str(directory),
            "secret": _SECRET,
        },
        "graph": {"url": simulator, "timeout": 5.0},
        "site": [
            {
                "name": "demo",
                "domains": [_NAME],
                # A browser under automation is the usual visitor of a demo.
                "bots": "ignore",
                "pixel": [{"id": _PIXEL, "access_token": "a token for the simulator"}],
            }
        ],
    }
    return load.parse(raw, {}, base=directory)


async def _serve(stack: AsyncExitStack, app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _HOST, port).start()
