"""The whole of a proxy with several processes, from its configuration to its end."""

import asyncio
import gc
from collections.abc import Callable
from functools import partial

from proxy.app import wait_until_stopped
from proxy.config.load import Config
from proxy.installation import lock_installation, require_c_parser
from proxy.rules import tables
from proxy.workers.back import run_back
from proxy.workers.child import Ready
from proxy.workers.front import run_front
from proxy.workers.parent import Parent, Started
from proxy.workers.shared import FrontResources, Shared, make_shared
from proxy.workers.sockets import listening_sockets


def run(config: Config, announce: Callable[[Started], None]) -> None:
    """Run fronts and a back until a signal ends them in order.

    Args:
        config: Its ``server.workers`` says how many fronts there are.
        announce: Called when all processes are ready.

    Raises:
        WorkerError: when a process cannot start, or does not stop in order.
        UnsafeInstallationError: when this Python cannot run the proxy safely.
        DataDirBusyError: when another process works in data_dir.
        OSError: when an address cannot be listened on.
    """
    require_c_parser()
    tables.prepare()
    with lock_installation(config) as installation:
        shared = make_shared(installation)
        sockets = listening_sockets(config.settings.server.listen, shared.fronts)
        gc.freeze()  # so that garbage collection in a child does not copy memory that it shares with the parent
        fronts = [
            (partial(_front, FrontResources(shared, number, each)), each) for number, each in enumerate(sockets, 1)
        ]
        Parent(partial(_back, shared), fronts).run(announce)


async def _front(resources: FrontResources, stop: asyncio.Event, ready: Ready) -> None:
    async with run_front(resources) as address:
        ready(f"http://{address.authority}")
        await stop.wait()


async def _back(shared: Shared, stop: asyncio.Event, ready: Ready) -> None:
    async with run_back(shared) as running:
        ready(f"http://{running.operator.authority}")
        await wait_until_stopped(stop, running.broken)
