"""Metrics for alerts besides those of events: conditions, and the events in a spool."""

from prometheus_client.parser import text_string_to_metric_families

from proxy.model.condition import Condition
from proxy.queue.contract import Stats
from proxy.telemetry.metrics import Metrics


def _shown(metrics: Metrics, *conditions: Condition, spooled: int = 0) -> dict[tuple[str, str], float]:
    text = metrics.render(Stats({}, 0, spooled=spooled), conditions).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, sample.labels.get("code", "")): sample.value for sample in samples}


def test_conditions_and_the_spool_are_gauges() -> None:
    """Each code has the number of its conditions; without any it is 0, so that an alert rule can rely on it."""
    metrics = Metrics()
    both = _shown(metrics, Condition("pixel_paused", "1", "", 0), Condition("pixel_paused", "2", "", 0), spooled=7)
    over = _shown(metrics)

    assert [each["capi_proxy_conditions", "pixel_paused"] for each in (both, over)] == [2, 0]
    assert [each["capi_proxy_conditions", "database"] for each in (both, over)] == [0, 0]
    assert [each["capi_proxy_spooled_events", ""] for each in (both, over)] == [7, 0]
