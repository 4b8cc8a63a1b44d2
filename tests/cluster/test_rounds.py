"""Rounds of faults on primary, standbys, network and proxies, under load: nothing acknowledged is lost or stored twice.

``make faults`` plays 100 of them, with longer faults; the results are printed as figures.
"""

import os
import random
from collections.abc import AsyncIterator

import pytest
from cluster_faults import BRIEF, FAULTS
from cluster_rounds import Stage, stage
from conftest import Say

ROUNDS = int(os.environ.get("CAPI_PROXY_ROUNDS", "0"))
"""The number of rounds; 0 is the short version."""
_ORDER = [FAULTS[number % len(FAULTS)] for number in range(ROUNDS)] if ROUNDS else list(BRIEF)
_LONGEST_S = 1.5

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", name="here")
async def _here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    # Longer than a commit may take, so that the proxies count the database as away.
    hold_s, cut_s = (8.0, 60.0) if ROUNDS else (1.2, 1.5)
    async with stage(tmp_path_factory.mktemp("rounds"), hold_s=hold_s, cut_s=cut_s, impatient=not ROUNDS) as made:
        yield made


@pytest.mark.parametrize("number", range(len(_ORDER)), ids=lambda number: f"{number}-{_ORDER[number].__name__}")
async def test_nothing_acknowledged_is_lost_or_stored_twice(here: Stage, say: Say, number: int) -> None:
    """Every event that was answered with 204 before, in and after a fault reaches Graph, and was stored once."""
    strike = _ORDER[number]
    load, found = await here.play(strike, random.Random(number))  # noqa: S311 - moments, not secrets
    if number == len(_ORDER) - 1:
        for line in here.figures.lines():
            say(line)

    assert found.missing == set()
    assert found.stored_twice == set()
    assert not ROUNDS or load.longest_s - load.lag_s <= _LONGEST_S
    assert not any("Traceback" in machine.log() for machine in here.proxies.machines)
