"""Tables as they are printed on a terminal and into a pipe."""

import os
import pty
import re
import subprocess
import sys

import pytest
from machine import ROOT

from proxy.cli.output import cell_text, print_rows

ROWS = [
    {"at": 1_764_000_000_000, "status": "delivered", "name": "Purchase", "id": "order-shop-1002", "findings": ["a:b"]},
    {"at": 0, "status": "dead", "name": "[bold]Lead[/bold] :smile:", "id": "日本" * 20, "findings": []},
]
COLUMNS = ("at", "status", "name", "id", "findings")
PRINT = f"from proxy.cli.output import print_rows; print_rows({ROWS!r}, {COLUMNS!r}, as_json=False)"


def on_a_terminal(columns: int) -> list[str]:
    """Return the lines that a process prints on a terminal of this width."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "COLUMNS": f"{columns}", "TERM": "xterm", "TZ": "UTC"}
    command = [sys.executable, "-c", PRINT]
    process = subprocess.Popen(command, stdout=theirs, stdin=theirs, cwd=ROOT, env=variables)
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 65536):
            text += piece
    except OSError:  # the other end is closed
        pass
    process.wait(60)
    os.close(ours)
    return text.decode().splitlines()


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()


def test_a_wide_terminal_has_all_columns_in_colour() -> None:
    """Words that say how an event ended are coloured; markup in strangers' text is not interpreted."""
    lines = on_a_terminal(140)

    assert [plain(line).split()[0] for line in lines] == ["at", "2025-11-24", "-"]
    assert "\x1b[32mdelivered" in lines[1]
    assert "[bold]Lead[/bold] :smile:" in lines[2]
    assert plain(lines[0]).split() == list(COLUMNS)


def test_what_is_cut_says_so() -> None:
    """A cut text ends in a mark; a text that just fits is whole."""
    cut, whole = cell_text("message", "x" * 500), cell_text("message", "x" * 120)

    assert (cut, whole) == ("x" * 119 + "…", "x" * 120)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_wraps_nothing(columns: int) -> None:
    """Each row is one line that fits; columns that do not fit are named below the table."""
    lines = [plain(line) for line in on_a_terminal(columns)]
    shown = lines[0].split()

    assert shown == list(COLUMNS[: len(shown)])
    assert all(len(line) <= columns for line in lines)
    assert "".join(lines[3:]).startswith("not shown, the terminal")
    for column in COLUMNS[len(shown) :]:
        assert column in " ".join(lines[3:])


def test_a_program_reads_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Output into a pipe has no colours, no cut columns and no trailing spaces."""
    print_rows(ROWS, COLUMNS, as_json=False)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 3
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert "日本" * 20 in lines[2]
