"""The process is killed at any time while orders are joined; each is still counted once, with its buyer's data."""

import asyncio
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import orjson
import pytest
from buyers import BROWSER_KEYS, orders, people
from conftest import Say
from machine import ROOT
from shop_process import DONE, JOURNAL, SENT
from support import until

KILLS = int(os.environ.get("CAPI_PROXY_KILLS", "4"))
UNSETTLED = KILLS // 2
ORDERS, SEED = 400, 2026
END_S = 120.0
PLACES = [ROOT, *(ROOT / "tests" / name for name in ("", "orders"))]


@asynccontextmanager
async def _running(place: Path, deliveries: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the process until the context ends; then kill it, if it still runs."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, PLACES))}
    script = ROOT / "tests" / "orders" / "shop_process.py"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), str(place), str(SEED), str(ORDERS), str(deliveries)), env=environment
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _lines(place: Path) -> int:
    journal = place / JOURNAL
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


async def _reached(place: Path, process: asyncio.subprocess.Process, goal: int) -> bool:
    return process.returncode is not None or _lines(place) >= goal


@pytest.mark.timeout(600)
async def test_the_join_survives_kill_9_at_any_moment(tmp_path: Path, say: Say) -> None:
    """Events that are sent twice because of a kill are equal, so Meta counts them once; nothing is lost or mixed up."""
    (tmp_path / "data").mkdir()
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    for _ in range(KILLS):
        goal = _lines(tmp_path) + chance.randrange(1, 2 * ORDERS // KILLS)
        async with _running(tmp_path) as process:
            await until(partial(_reached, tmp_path, process, goal), what="messages")
            assert process.returncode is None
    for _ in range(UNSETTLED):
        async with _running(tmp_path, chance.randrange(1, 20)) as process:
            assert await asyncio.wait_for(process.wait(), END_S) == -signal.SIGKILL
    async with _running(tmp_path) as process:
        assert await asyncio.wait_for(process.wait(), END_S) == 0
    assert (tmp_path / DONE).exists()

    wrong, again = _account(tmp_path)
    say(f"{KILLS + UNSETTLED} kills while {ORDERS} orders were joined: {again} events sent again, the same")
    assert wrong == []
    assert again >= UNSETTLED


def _account(place: Path) -> tuple[list[str], int]:
    """Return the orders not counted once with their buyer's data, and how many events were sent again."""
    chance = random.Random(SEED)  # noqa: S311 - the same made-up shop
    found = {order.id: order for order in orders(chance, people(chance, ORDERS // 3), ORDERS)}
    copies: defaultdict[str, list[bytes]] = defaultdict(list)
    lines = (place / SENT).read_bytes().splitlines()
    for line in lines:
        event = orjson.loads(line)
        if event["event_name"] == "Purchase":
            copies[event["custom_data"]["order_id"]].append(orjson.dumps(event))
    wrong = []
    for identity, order in found.items():
        sent = set(copies[identity])
        if any(browser.gpc for browser in order.person.browsers):
            continue
        data = [orjson.loads(event)["user_data"] for event in sent]
        is_own = all(
            any(
                {key: user[key] for key in BROWSER_KEYS if key in user}.items() <= browser.data.items()
                for browser in order.person.browsers
            )
            for user in data
        )
        if len(sent) != 1 or not is_own:
            wrong.append(identity)
    return wrong, len(lines) - len(set(lines))
