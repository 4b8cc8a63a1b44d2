"""Conflicts between copies of one Purchase that the queue finds are counted with the findings of the rules."""

import pytest
from support import record, server_record

from proxy.model.decision import Decision
from proxy.model.record import Record
from proxy.queue.contract import Stats, Stored
from proxy.telemetry.metrics import Metrics

SALE = server_record(1)._replace(findings=("value:doubtful",))
DISAGREEING = SALE._replace(findings=("value:doubtful", "id:conflict"))
CASES: list[tuple[Record, Stored, int]] = [
    (SALE, Stored(), 0),
    (SALE, Stored(duplicates=(SALE,)), 0),
    (SALE, Stored(duplicates=(DISAGREEING,)), 1),
    (record(1)._replace(findings=SALE.findings), Stored(reused=1, conflicts=(record(1),)), 1),
]


@pytest.mark.parametrize(("brought", "stored", "conflicts"), CASES)
def test_copies_that_disagree_are_counted(brought: Record, stored: Stored, conflicts: int) -> None:
    """The metrics count a server's order that was left out since its value differs; no conflict counts twice."""
    metrics = Metrics()
    metrics.decision(Decision(records=(brought,)), stored)
    text = metrics.render(Stats({}, 0)).decode()

    assert ('capi_proxy_findings_total{field="id",finding="conflict"} 1.0' in text) == (conflicts == 1)
    assert 'capi_proxy_findings_total{field="value",finding="doubtful"} 1.0' in text
