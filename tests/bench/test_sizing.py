"""The tables of docs/scaling.md are those that bench/sizing.py makes of the unit costs, and are consistent."""

import needs
import pytest
import sizing
import unit_costs
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import Needs, of_peak, shape
from sizing import DOCUMENT, document, rounded, written


def test_the_page_has_the_tables_of_the_program() -> None:
    """The page has the tables that ``bench/sizing.py --write`` would write; a changed unit cost needs a new run."""
    assert written(DOCUMENT.read_text()) == document()


def test_all_unit_costs_are_shown() -> None:
    """Every unit cost that is used is shown, so that a reader can follow the tables."""
    named = {cost for cost in vars(unit_costs).values() if isinstance(cost, unit_costs.UnitCost)}

    assert named == set(unit_costs.ALL)


def test_a_day_has_the_shape_that_the_page_describes() -> None:
    """The mean load of a day's minutes is 1, apart from the campaign; the busiest minute's is 3.6 times as high."""
    minutes = [shape(minute) for minute in range(24 * 60)]

    assert sum(minutes) / len(minutes) == pytest.approx(1, abs=0.02)
    assert [max(minutes), min(minutes)] == pytest.approx([3.6, 0.2], abs=0.01)
    assert minutes.index(min(minutes)) == 6 * 60


def test_a_small_load_by_hand() -> None:
    """For a small load the simulation agrees with a calculation on paper."""
    load = Needs(8_640_000)

    assert load.peak == pytest.approx(360, rel=0.01)
    each = sum(cost.each for cost in (unit_costs.FRONT, unit_costs.SQLITE_STORE, unit_costs.SQLITE_DELIVER))
    assert load.one_process == pytest.approx(360 * each / 1e6, rel=0.01)
    # Four slots of 16 hours hold 48 to 64 hours; the ledger holds eight days, the oldest one included.
    assert 2 * 8_640_000 < load.stock.seen < 64 / 24 * 8_640_000 * 1.1
    assert 7 * 8_640_000 < load.stock.ledger < 8.1 * 8_640_000
    # From three to nine in the evening about 40 % of a day's events arrive.
    assert load.stock.waiting == pytest.approx(0.44 * 8_640_000, rel=0.05)
    assert 0 < load.stock.drained_h < 6


@settings(max_examples=25)  # each example simulates two loads, which takes a third of a second
@given(st.floats(1e3, 1e12))
def test_a_larger_load_never_needs_less(a_day: float) -> None:
    """Ten times the events need at least as many proxies and primaries, and no machine is busier than allowed."""
    load, larger = Needs(a_day), Needs(10 * a_day)

    assert larger.proxies >= load.proxies >= 2
    assert larger.shards >= load.shards >= 1
    assert larger.disk_gb > load.disk_gb
    assert load.proxy_cores <= load.proxies * needs.PROXY_CORES * needs.BUSY
    assert load.proxy_cores <= (load.proxies - 1) * needs.PROXY_CORES
    assert load.primary_cores <= load.shards * load.size[0] * needs.BUSY * (1 + 1e-9)
    assert 1 <= load.group <= needs.MOST_GROUP


def test_a_rate_is_that_of_the_busiest_minute() -> None:
    """The rows of loads by rate are for the rate that they name."""
    assert [of_peak(rate).peak for rate in sizing.RATES] == pytest.approx(list(sizing.RATES))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "< 0.05"), (0.04, "< 0.05"), (0.15, "0.1"), (9.97, "10.0"), (12.6, "13"), (1234, "1,200")]
)
def test_numbers_are_told_to_two_digits(value: float, text: str) -> None:
    """Numbers in the tables have two digits, as the unit costs are known no better."""
    assert rounded(value) == text
