"""The documentation keeps up with the program."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.cli.commands import MODULES
from proxy.model.condition import FAILS_READINESS, ConditionCode
from proxy.model.condition_advice import ADVICE
from proxy.model.event import DropReason
from proxy.queue.contract import Stats
from proxy.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob(".github/**/*.md")]
)


def table(heading: str, page: str = "operating.md") -> dict[str, list[str]]:
    """Return the rows of the table below a heading of a page: first cell → the other cells."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    assert len({cells[0] for cells in rows}) == len(rows), "two rows for one thing"
    return {cells[0].strip("`"): cells[1:] for cells in rows}


@pytest.mark.parametrize("reason", DropReason)
def test_every_reason_to_drop_is_documented(reason: DropReason) -> None:
    """Every reason in the ledger is explained, in the page and on the dashboard."""
    assert table("Why an event is dropped", "how-it-works.md")[reason]
    assert f"\n  {reason}: " in (ROOT / "static" / "operator-words.js").read_text()


def test_every_metric_has_its_row() -> None:
    """The table of metrics has exactly the metrics that are shown, with their types and labels."""
    metrics = Metrics()
    families = {family.name: family for family in text_string_to_metric_families(metrics.render(Stats({}, 0)).decode())}
    labels = {
        family.name: set(getattr(collector, "_labelnames", ()))
        for collector in metrics.registry._collector_to_names
        for family in collector.collect()
    }
    shown = {
        f"{name}_total" if family.type == "counter" else name: (family.type, labels[name])
        for name, family in families.items()
        if not name.endswith("_created")
    }
    rows = table("Every metric", "metrics.md")
    documented = {name: (cells[0], set(re.findall(r"`(\w+)`", cells[1]))) for name, cells in rows.items()}

    assert documented == shown
    assert all(cells[2] for cells in rows.values())
    assert all(family.documentation for family in families.values())


@pytest.mark.parametrize("code", get_args(ConditionCode))
def test_every_condition_is_explained(code: str) -> None:
    """Every condition is explained in the page about operating, and in plain words on the dashboard."""
    readiness = "fails" if code in FAILS_READINESS else "degraded"

    assert table("Conditions")[code][1] == readiness
    assert f'case "{code}":' in (ROOT / "static" / "operator-words.js").read_text()


def test_every_address_of_the_api_has_its_row() -> None:
    """The table of the API has exactly the addresses of the operator listener, with their methods."""
    source = "".join(path.read_text() for path in (ROOT / "proxy" / "operator").glob("*.py"))
    routes = {f"{method.upper()} {path}" for method, path in re.findall(r'add_(get|post)\("(/[^"]+)"', source)}

    assert set(table("Addresses", "dashboard-api.md")) == {route for route in routes if "/api/" in route}


def test_no_condition_is_explained_that_is_gone() -> None:
    """The table of conditions, the dashboard's words and the source have the same codes."""
    source = [path for path in (ROOT / "proxy").rglob("*.py") if path.name != "condition.py"]
    words = {
        node.value
        for path in source
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    cases = set(re.findall(r'case "(\w+)":', (ROOT / "static" / "operator-words.js").read_text()))
    codes = set(get_args(ConditionCode))

    assert codes - words == set()
    assert set(table("Conditions")) == codes == cases


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every link to a file of the project leads to an existing one."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_commands_of_the_documents_exist() -> None:
    """The documents name only commands that exist."""
    named = {word for path in DOCUMENTS for word in re.findall(r"capi-proxy ([a-z]+) --", path.read_text())}

    assert named - set(MODULES) == set()


def test_both_commands_stand_in_the_first_screen() -> None:
    """The first 20 lines of the README say how to run and how to test the project."""
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])

    assert "make demo" in first
    assert "make test" in first


@pytest.mark.parametrize("code", get_args(ConditionCode))
def test_every_condition_has_its_place_to_look_up(code: ConditionCode) -> None:
    """The page of conditions has a section for each code, with the same advice as the alerts."""
    page = (ROOT / "docs" / "conditions.md").read_text()
    section = " ".join(page.partition(f"\n## `{code}`\n")[2].partition("\n## ")[0].split())

    assert f"**{ADVICE[code].title}.**" in section
    assert f"What to do: {ADVICE[code].to_do}" in section
