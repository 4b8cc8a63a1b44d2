"""Soak: the real process under load for as long as wanted, with various faults, and an account after each round.

Run by ``make soak``; not part of the tests. Exit code 1 when an acknowledged event is missing.
"""

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import click
from graph_faults import FAULTS
from machine import Machine
from servers import simulator
from traffic import loaded, settled_account


async def one_round(
    machine: Machine, session: aiohttp.ClientSession, chance: random.Random, number: int
) -> tuple[int, int, int]:
    """Load the proxy through a fault and an end; return the acknowledged and the missing number, and MB of memory."""
    await machine.start()
    fault = chance.choice([*(fault.order for fault in FAULTS.values()), {"mode": "slow", "delay": 1}])
    seconds = chance.uniform(2, 15)
    async with session.post(f"{machine.graph}/sim/faults", json={**fault, "for": seconds}) as answer:
        answer.raise_for_status()
    async with loaded(machine, f"soak-{number}", clients=chance.randrange(1, 6)) as load:
        await asyncio.sleep(chance.uniform(2, 10))
        memory = round(machine.memory_mb())
        await (machine.kill() if chance.random() < 0.5 else machine.terminate())
    await machine.start()
    account = await settled_account(session, machine.graph, load.acknowledged, seconds=120)
    await machine.terminate()
    async with session.post(f"{machine.graph}/sim/reset") as answer:
        answer.raise_for_status()
    return len(load.acknowledged), len(account.missing), memory


async def soak(minutes: float, seed: int) -> bool:
    """Run rounds until the time is over; return True if no event is missing."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    deadline = time.monotonic() + minutes * 60
    acknowledged = missing = number = 0
    with tempfile.TemporaryDirectory() as directory:
        async with simulator() as graph, aiohttp.ClientSession() as session:
            machine = Machine(Path(directory), graph)
            while time.monotonic() < deadline:
                number += 1
                sent, lost, memory = await one_round(machine, session, chance, number)
                acknowledged, missing = acknowledged + sent, missing + lost
                click.echo(f"round {number}: {acknowledged} acknowledged, {missing} missing, {memory} MB")
    return missing == 0


@click.command()
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", default=2026, show_default=True)
def main(minutes: float, seed: int) -> None:
    """Soak the proxy."""
    sys.exit(0 if asyncio.run(soak(minutes, seed)) else 1)


if __name__ == "__main__":
    main()
