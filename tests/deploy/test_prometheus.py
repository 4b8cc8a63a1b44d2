"""The rules and the dashboard in deploy/, checked by Prometheus's own tool and against the proxy's metrics."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.model.condition import ConditionCode
from proxy.model.event import DropReason
from proxy.queue.contract import Stats
from proxy.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "capi-proxy.json"
PROXY = 'instance="a:9090",job="capi-proxy"'

Series = Mapping[str, str]


def condition(code: str, values: str) -> Series:
    return {f'capi_proxy_conditions{{code="{code}",{PROXY}}}': values}


def answers(status: str, values: str) -> Series:
    return {f'capi_proxy_requests_total{{endpoint="collect",status="{status}",{PROXY}}}': values}


def graph(verdict: str, values: str) -> Series:
    return {f'capi_proxy_graph_requests_total{{pixel="1",verdict="{verdict}",reason="",{PROXY}}}': values}


def slots(metric: str, slow: str, labels: str = "") -> Series:
    """Return the series of a histogram in which half of the observations are quick and half are slow."""
    head = f"{metric}_bucket{{{labels}{PROXY},le="
    return {f'{head}"0.1"}}': "0+10x80", f'{head}"{slow}"}}': "0+20x80", f'{head}"+Inf"}}': "0+20x80"}


def stored(values: str) -> Series:
    return {f'capi_proxy_events_total{{result="stored",reason="",{PROXY}}}': values}


def dead(values: str) -> Series:
    return {f"capi_proxy_dead_letters{{{PROXY}}}": values}


# For each rule: series that raise the alert, and similar ones that do not.
CASES: dict[str, tuple[Series, Series]] = {
    "CapiProxyDown": ({f"up{{{PROXY}}}": "0x80"}, {f"up{{{PROXY}}}": "0 0 1x78"}),
    "CapiProxyRefusesEvents": (condition("queue", "1x80"), answers("503", "0+1x80")),
    "CapiProxyPixelPaused": (condition("pixel_paused", "1x80"), condition("pixel_paused", "1 1 1 0x77")),
    "CapiProxyDeliveryLate": (condition("delivery_late", "2x80"), condition("delivery_late", "0x80")),
    "CapiProxyGraphFails": (
        {**graph("retry", "0+9x80"), **graph("delivered", "0+3x80")},
        {**graph("retry", "0+3x80"), **graph("delivered", "0+9x80")},
    ),
    "CapiProxyDeliverySlow": (
        slots("capi_proxy_delivery_lag_seconds", "900.0", 'pixel="1",'),
        slots("capi_proxy_delivery_lag_seconds", "300.0", 'pixel="1",'),
    ),
    "CapiProxyCommitSlow": (
        slots("capi_proxy_commit_seconds", "1.0"),
        slots("capi_proxy_commit_seconds", "0.5"),
    ),
    "CapiProxyDeadLetters": (dead("5x60 6x20"), dead("6x60 5x20")),
    "CapiProxyStrangersRefused": (condition("foreign_origin", "1x80"), condition("foreign_origin", "1x5 0x75")),
    "CapiProxySilent": (stored("0+100x20 2000x160"), stored("0+100x180")),
    "CapiProxyFault": (condition("fault", "0x70 1x10"), condition("fault", "0x80")),
    "CapiProxyLedgerIncomplete": (
        {f"capi_proxy_lost_ledger_rows{{{PROXY}}}": "0x60 7x20"},
        {f"capi_proxy_lost_ledger_rows{{{PROXY}}}": "7x80"},
    ),
    "CapiProxyCondition": (condition("clock", "1x80"), condition("graph_errors", "1x80")),
}
# Rules that look back for a day are tested with a sample every ten minutes.
MINUTES = {"CapiProxySilent": 10}


def promtool(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("promtool")
    assert program, "promtool is missing: sh tools/system.sh promtool"
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, check=False, timeout=60)


def shown() -> bytes:
    """Return /metrics of a proxy that has counted something of each kind."""
    metrics = Metrics()
    metrics.request("collect", 204)
    metrics.answered("collect", 0.003)
    metrics.committed(0.002)
    metrics.delivered("1", [12, 90_000])
    metrics.finished("1", "delivered", 2)
    return metrics.render(Stats({"1": 3}, 0, held={"1": 1}, suspects={"1": 1}, withheld={DropReason.GPC: 1}))


def test_promtool_finds_nothing_to_say_of_the_metrics() -> None:
    """Prometheus's tool finds no fault with names, units, types and texts of the metrics."""
    done = promtool("check", "metrics", stdin=shown())

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_promtool_reads_the_rules() -> None:
    """Prometheus's tool accepts every rule, and finds no duplicate."""
    done = promtool("check", "rules", "--lint-fatal", str(RULES))

    assert done.returncode == 0, done.stderr


def _test_group(rule: str, series: Series, firing: int) -> dict[str, Any]:
    """Return a test for promtool: how many alerts of a rule fire in the end."""
    minutes = MINUTES.get(rule, 1)
    return {
        "name": f"{rule}: {firing}",
        "interval": f"{minutes}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{rule}",alertstate="firing"}})',
                "eval_time": f"{75 if minutes == 1 else 160 * minutes}m",
                "exp_samples": [{"labels": "{}", "value": firing}] if firing else [],
            }
        ],
    }


@pytest.mark.parametrize("minutes", [1, 10])
def test_each_rule_fires_when_it_should_and_only_then(minutes: int, tmp_path: Path) -> None:
    """Each rule raises one alert for its series, and none for similar ones."""
    groups = [
        _test_group(rule, series, firing)
        for rule, (fires, silent) in CASES.items()
        for series, firing in ((fires, 1), (silent, 0))
        if MINUTES.get(rule, 1) == minutes
    ]
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": f"{minutes}m", "tests": groups}))
    done = promtool("test", "rules", str(path))

    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert list(CASES) == re.findall(r"- alert: (\w+)", RULES.read_text())


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_rule_links_to_what_is_to_be_done() -> None:
    """The page that each rule links to exists, with the linked heading."""
    links = re.findall(r'runbook_url: "([^#"]+)#([^"]+)"', RULES.read_text())

    assert len(links) == len(CASES)
    for page, heading in links:
        named = set(get_args(ConditionCode)) if heading == "{{ $labels.code }}" else {heading}
        assert named - _anchors(ROOT / page) == set(), (page, heading)


def _names() -> set[str]:
    """Return every name by which a query can ask for a metric."""
    return {
        name
        for family in text_string_to_metric_families(shown().decode())
        for name in _names_of(family.name, family.type)
    }


def _names_of(name: str, kind: str) -> Iterator[str]:
    match kind:
        case "counter":
            yield f"{name}_total"
        case "histogram":
            yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
        case _:
            yield name


def _panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_rules_and_panels_ask_for_what_the_proxy_shows() -> None:
    """No rule and no panel speaks of a metric or a condition that does not exist."""
    panels = _panels(json.loads(DASHBOARD.read_text()))
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    text = "\n".join([*re.findall(r"expr: (?:>\n)?((?:.*\n)+?) +(?:for|labels):", RULES.read_text()), *expressions])
    asked = set(re.findall(r"\b(?:capi_proxy|process)_\w+", text))
    codes = {code for codes in re.findall(r'code[!=]?[=~]"([\w|]+)"', text) for code in codes.split("|")}

    assert len(asked) > 15
    assert asked - _names() == set()
    assert codes - set(get_args(ConditionCode)) == set()


def test_what_waits_is_shown_of_pixels_that_hold_nothing_too(tmp_path: Path) -> None:
    """The dashboard's query for waiting events, without those held, counts pixels that hold none too."""
    (panel,) = [panel for panel in _panels(json.loads(DASHBOARD.read_text())) if panel["title"] == "Waiting events"]
    text = Metrics().render(Stats({"1": 7, "2": 5}, 0, held={"2": 4})).decode()
    series = [
        line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(("capi_proxy_waiting", "capi_proxy_held"))
    ]
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name.replace("}", f",{PROXY}}}"), "values": f"{value}x5"} for name, value in series
        ],
        "promql_expr_test": [
            {
                "expr": panel["targets"][0]["expr"].replace("$job", ".*").replace("$instance", ".*"),
                "eval_time": "5m",
                "exp_samples": [{"labels": "{}", "value": 8}],
            }
        ],
    }
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"tests": [test]}))
    done = promtool("test", "rules", str(path))

    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_every_panel_says_what_it_shows() -> None:
    """Each panel has a title, a description, a unit and a variable data source; no two panels overlap."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = _panels(dashboard)
    places = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert all(panel["title"] and panel["description"] for panel in panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert {target["datasource"]["uid"] for panel in panels for target in panel["targets"]} == {"${datasource}"}
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    assert "datasource" in {variable["name"] for variable in dashboard["templating"]["list"]}


@pytest.mark.parametrize("metric", sorted(_names()))
def test_no_name_says_a_unit_that_is_none(metric: str) -> None:
    """Times are in seconds and sizes in bytes, which are Prometheus's base units."""
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|kilobytes)(_|$)", metric)
