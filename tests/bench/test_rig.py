"""The figures that the benches make from wrk's output."""

import pytest
from rig import Slice, percentile, ratio, slice_of

_OUTPUT = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
Requests/sec:   1000.00

{"requests": 2000, "us": 2000000, "p50": 1500.000000, "p99": 9000.000000, "wrong": 0}
"""


def test_wrk_says_what_happened() -> None:
    """Rates are per second, latencies in milliseconds, and processor time is per request."""
    assert slice_of(_OUTPUT, 0.5) == Slice(rate=1000, p50_ms=1.5, p99_ms=9, cpu_us=250)


@pytest.mark.parametrize(
    "output",
    [
        _OUTPUT.replace('"wrong": 0', '"wrong": 1'),
        _OUTPUT.replace('"requests": 2000', '"requests": 0'),
        _OUTPUT.partition("{")[0],
        "",
    ],
)
def test_a_load_that_went_wrong_is_no_result(output: str) -> None:
    """A load with failed requests is an error, so that these do not count as quick ones."""
    with pytest.raises(ValueError, match="went wrong"):
        slice_of(output, 0.5)


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (0.999, 100), (0.25, 26)])
def test_a_percentile_never_flatters(share: float, value: int) -> None:
    """At least the given share of the values is not above the percentile."""
    assert percentile(list(range(100, 0, -1)), share) == value


def test_a_ratio_compares_slices_of_one_round() -> None:
    """The ratio is taken within each round, so a machine that slows down from round to round does not change it."""
    found = {
        "a": [Slice(rate, 1, 1, 1e6 / rate) for rate in (50, 5, 0.5)],
        "b": [Slice(rate, 1, 1, 1e6 / rate) for rate in (100, 10, 1)],
    }

    assert ratio(found, "a", "b") == ratio(found, "a", "b", cpu=True) == 0.5
