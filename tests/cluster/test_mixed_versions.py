"""Two versions of the program share a database during a rolling upgrade, also one that is taken back."""

import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from account import account
from cluster_rounds import Stage, stage
from fleet import SharedMachine
from load import Load, loaded
from machine import ROOT
from polling import until

pytestmark = pytest.mark.long
# The next version has one more layout, with new columns in tables that the current one uses meanwhile.
_STEPS = tuple(f"ALTER TABLE {table} ADD COLUMN added int2 NOT NULL DEFAULT 0" for table in ("segment", "replica"))
_CHANGES = {
    "proxy/__init__.py": ('__version__ = "', '__version__ = "1'),
    "proxy/queue/postgres/schema.py": (
        "\nCURRENT = Layout(2, 1, TABLES, {})\n",
        f"\nCURRENT = Layout(3, 1, TABLES, {{3: {_STEPS}}})\n",
    ),
}


def next_version(directory: Path) -> Path:
    """Make the next version of the program in a directory; return it."""
    for part in ("proxy", "static"):
        shutil.copytree(ROOT / part, directory / part)
    for name, (old, new) in _CHANGES.items():
        text = (directory / name).read_text()
        assert text.count(old) == 1, f"{name} has changed"
        (directory / name).write_text(text.replace(old, new))
    return directory


@pytest.fixture(scope="module", name="here")
async def _here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("versions"), proxies=2) as made:
        yield made


async def _replaced(machine: SharedMachine, tree: Path, load: Load) -> None:
    """Stop a proxy as an operator would, and start another version in its place."""
    assert await machine.terminate() == 0
    machine.tree = tree
    await machine.start()
    await load.goes_on()


async def test_versions_side_by_side_lose_nothing(here: Stage, tmp_path: Path) -> None:
    """Proxies are replaced one by one by the next version under load, and one of them by the old version again."""
    newer = next_version(tmp_path)
    async with loaded(here.proxies, "versions", random.Random(7)) as load:  # noqa: S311 - moments, not secrets
        await load.goes_on()
        here.servers.cut(0)
        await until(here.proxies.machines[0].spooled, what="something in the spool, which the next version finds")
        for machine in here.proxies.machines:
            await _replaced(machine, newer, load)
            here.servers.heal(0)
        await _replaced(here.proxies.machines[0], ROOT, load)
    await here.proxies.at_rest()
    found = await account(here.session, here.graph, here.servers.primary, load.acknowledged)
    versions = await here.servers.primary.rows("SELECT DISTINCT version FROM capi_proxy.replica")

    assert (found.missing, found.stored_twice) == (set(), set())
    assert len(versions) == 2
    assert await here.servers.primary.rows("SELECT added FROM capi_proxy.segment LIMIT 0") == []
    assert not any("Traceback" in machine.log() for machine in here.proxies.machines)
