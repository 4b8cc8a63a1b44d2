"""Fronts and a back with a queue in PostgreSQL also lose nothing that was acknowledged."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from machine import Machine
from postgres_server import USER, Cluster, psql
from rounds import all_here, kill, more, steady_load
from servers import simulator
from traffic import settled_account


@pytest.fixture(name="url")
def _url(postgres: Cluster) -> Iterator[str]:
    """Yield the address of a database of the test's own."""
    name = f"t{uuid.uuid4().hex}"
    psql(postgres, f"CREATE DATABASE {name} OWNER {USER}")
    yield postgres.url(database=name)
    psql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class SharedMachine(Machine):
    """A machine with its queue in a database."""

    url: str = ""

    def write_config(self) -> None:
        """Write the configuration with the queue's own settings."""
        super().write_config()
        queue = f'[queue]\nengine = "postgres"\nurl = "{self.url}"\nmin_free_bytes = 0\n'
        self.config.write_text(self.config.read_text() + queue)


async def test_the_death_of_fronts_and_backs_loses_nothing_of_a_shared_queue(tmp_path: Path, url: str) -> None:
    """Processes are killed under load and restarted, and everything acknowledged reaches Graph."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = SharedMachine(tmp_path, graph, workers=2, url=url)
        await machine.start()
        async with steady_load(machine, "shared") as load:
            for name in ("front-1", "back", "front-2", "back"):
                await more(load)
                kill((await all_here(machine))[name])
            await all_here(machine)
            await more(load)
        account = await settled_account(session, graph, load.acknowledged)
        code = await machine.terminate()

    assert (code, account.missing) == (0, set())
    assert "Traceback" not in machine.log()
