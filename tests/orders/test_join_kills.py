"""The process dies at any moment while orders are joined; each is counted once all the same, and as its buyer's."""

import asyncio
import os
import random
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

import orjson
import pytest
from buyers import BROWSER_KEYS, orders, people
from conftest import Say
from machine import ROOT
from shop_process import DONE, JOURNAL, SENT
from support import until

KILLS, ORDERS, SEED = 12, 400, 2026
PLACES = [ROOT, *(ROOT / "tests" / name for name in ("", "orders"))]


async def _started(place: Path) -> asyncio.subprocess.Process:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, PLACES))}
    script = ROOT / "tests" / "orders" / "shop_process.py"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), str(place), str(SEED), str(ORDERS)), env=environment
    )


def _lines(place: Path) -> int:
    journal = place / JOURNAL
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


async def _reached(place: Path, process: asyncio.subprocess.Process, goal: int) -> bool:
    return process.returncode is not None or _lines(place) >= goal


@pytest.mark.timeout(600)
async def test_the_join_survives_kill_9_at_any_moment(tmp_path: Path, say: Say) -> None:
    """What is sent twice around a kill is the same both times, so Meta counts it once; nothing is lost or mixed up."""
    (tmp_path / "data").mkdir()
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    kills = 0
    while kills < KILLS:
        process = await _started(tmp_path)
        goal = _lines(tmp_path) + chance.randrange(1, 2 * ORDERS // KILLS)
        await until(partial(_reached, tmp_path, process, goal), what="messages", seconds=60)
        assert process.returncode is None
        process.kill()
        await process.wait()
        kills += 1
    process = await _started(tmp_path)
    assert await process.wait() == 0
    assert (tmp_path / DONE).exists()

    wrong, again = _account(tmp_path)
    say(f"{KILLS} kills while orders were joined: {ORDERS} orders, {again} delivered again with the same bytes")
    assert wrong == []


def _account(place: Path) -> tuple[list[str], int]:
    """Return the orders that were not counted once, as their buyer's, and how many events were sent again."""
    chance = random.Random(SEED)  # noqa: S311 - the same made-up shop
    found = {order.id: order for order in orders(chance, people(chance, ORDERS // 3), ORDERS)}
    copies: defaultdict[str, list[bytes]] = defaultdict(list)
    for line in (place / SENT).read_bytes().splitlines():
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
    return wrong, sum(len(events) - len(set(events)) for events in copies.values())
