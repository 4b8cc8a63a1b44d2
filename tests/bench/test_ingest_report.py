"""What bench/ingest.py writes into docs/benchmarks.md."""

from pathlib import Path

import ingest_report
import pytest
from ingest_report import BARE, FASTAPI, LEVELS, SIZES, Findings, document, events_ratio, goals, write
from open_load import Outcome
from rig import Slice

_FRONT = "capi-proxy"


def _slices(rate: float) -> list[Slice]:
    return [Slice(rate, 2.0, 20.0, 1e6 / rate) for _ in range(3)]


def _outcome(*latencies_ms: float) -> Outcome:
    return Outcome(list(latencies_ms), 0, [0.0])


@pytest.fixture(name="found")
def _found() -> Findings:
    parts = {
        name: _slices(rate)
        for name, rate in (("", 400), ("store", 500), ("rules", 1000), ("metrics", 2000), (BARE, 1000))
    }
    levels = {str(level): [_outcome(1.0, 30.0)] for level in LEVELS}
    return Findings(
        fronts=(_FRONT,),
        rounds=3,
        open_rounds=1,
        closed={size: {BARE: _slices(1000), FASTAPI: _slices(200), _FRONT: _slices(400)} for size in SIZES},
        stages={_FRONT: parts},
        open={BARE: levels, _FRONT: levels},
        lone={BARE: [_outcome(1.0)], _FRONT: [_outcome(2.0)]},
        fsync_ms=1.0,
        idle_mb={BARE: 1.0, _FRONT: 2.0},
        versions={"fastapi": "1.2.3"},
        notes=["(1 of 4 rounds were disturbed)"],
    )


def test_the_tables_hold_ratios_noise_and_stages(found: Findings) -> None:
    """A row has its ratio and noise; a stage's cost is what switching it off saves, and the stages add up."""
    text = document(found)

    assert f"| {_FRONT} | 0.40 (0.40 to 0.40) | 0.40 (0.40 to 0.40) | 2500 | 2.0 | 20.0 | yes |" in text
    assert f"| {FASTAPI} | 0.20 (0.20 to 0.20) | 0.20 (0.20 to 0.20) | 5000 | 2.0 | 20.0 | no |" in text
    for row in ("store | 500 | 0.50", "rules | 1000 | 1.00", "metrics | 500 | 0.50", "all | 2500 | 2.50"):
        assert f"| {row} |" in text
    assert "- 1 of 4 rounds were disturbed" in text
    assert "fastapi 1.2.3" in text


def test_events_are_compared_with_requests_of_the_bare_server(found: Findings) -> None:
    """Twenty events a request count as twenty."""
    assert events_ratio(found, _FRONT, 20) == 8.0


def test_a_missed_goal_is_said(found: Findings, capsys: pytest.CaptureFixture[str]) -> None:
    """Each goal is printed with its figure, whether it was reached or not."""
    goals(found)
    lines = capsys.readouterr().out.splitlines()

    assert "MISSED  requests/s, mixed load, to bare aiohttp: 0.4 (goal: >= 0.43)" in lines
    assert "MISSED  requests per CPU, mixed load, to bare aiohttp: 0.4 (goal: >= 0.43)" in lines
    assert "ok      requests/s, to the better peer: 2 (goal: >= 1.15)" in lines
    assert "MISSED  p99 at 75 % of the peak, ms: 30 (goal: <= 25)" in lines
    assert "ok      p50 of a lone request to bare aiohttp and an fsync: 1 (goal: <= 1.5)" in lines


def test_the_run_writes_only_its_part_of_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The text before and after the program's part stays, however often the part is written."""
    page = tmp_path / "benchmarks.md"
    page.write_text("Before.\n\n<!-- bench/ingest.py writes this part -->\nold\n<!-- until here -->\n\nBehind.\n")
    monkeypatch.setattr(ingest_report, "DOCUMENT", page)
    write("first")
    write("second")

    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("\n\nBehind.\n")
    assert "second" in text
    assert "first" not in text
    assert "old" not in text
