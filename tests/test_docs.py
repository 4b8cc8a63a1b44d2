"""The documentation keeps up with the program."""

import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge

from proxy.cli.commands import main
from proxy.model.event import DropReason
from proxy.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob(".github/**/*.md")]
)


def section(page: str, heading: str) -> str:
    """Return the text below a heading of a page, up to the next heading of the same level."""
    return (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def row(table: str, name: str) -> list[str]:
    """Return the cells of the row that begins with a name in backticks; none without such a row."""
    found = re.search(rf"^\| `{re.escape(name)}` \|(.*)\|$", table, re.MULTILINE)
    return [cell.strip() for cell in found[1].split("|")] if found else []


def test_the_table_of_metrics_is_complete() -> None:
    """Every metric has a row with its labels, and every row is a metric."""
    table = section("operating.md", "Metrics")
    collectors = set(Metrics().registry._names_to_collectors.values())
    measured = {
        f"{metric._name}_total" if isinstance(metric, Counter) else metric._name: set(metric._labelnames)
        for metric in collectors
        if isinstance(metric, Counter | Gauge)
    }
    documented = {
        name: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", cells[0])))
        for name in re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        if (cells := row(table, name))
    }

    assert documented == measured


@pytest.mark.parametrize("reason", DropReason)
def test_every_reason_to_drop_is_documented(reason: DropReason) -> None:
    """Whoever finds a reason in the ledger finds it explained, in the page and on the dashboard."""
    assert row(section("how-it-works.md", "Why an event is dropped"), reason)
    assert f"\n  {reason}: " in (ROOT / "static" / "operator-words.js").read_text()


CODES = sorted(
    {
        code
        for path in (ROOT / "proxy").rglob("*.py")
        for code in re.findall(r"""(?:\breport|_note)\(\s*"([a-z_]+)\"""", path.read_text())
    }
)


@pytest.mark.parametrize("code", CODES)
def test_every_condition_is_explained(code: str) -> None:
    """Whoever meets a condition finds it in the page about operating, and in plain words on the dashboard."""
    assert f"| `{code}` |" in (ROOT / "docs" / "operating.md").read_text()
    assert f'case "{code}":' in (ROOT / "static" / "operator-words.js").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every link to a file of the project leads to one."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_commands_of_the_documents_exist() -> None:
    """No document speaks of a command that the program lacks."""
    named = {word for path in DOCUMENTS for word in re.findall(r"capi-proxy ([a-z]+) --", path.read_text())}

    assert named - set(main.commands) == set()


def test_both_commands_stand_in_the_first_screen() -> None:
    """A newcomer sees how to run and how to test it without scrolling."""
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])

    assert "make demo" in first
    assert "make test" in first
