"""The ledger sums an event's value only under a real currency, and stores no text of the sender's."""

from typing import Any

import pytest

from proxy.model.event_facts import NO_FACTS
from proxy.rules.facts import with_data


@pytest.mark.parametrize(
    ("data", "value", "currency"),
    [
        ({"value": 59.7, "currency": "EUR"}, 597_000, "EUR"),
        ({"value": 0.1, "currency": "eur"}, 1_000, "EUR"),
        ({"value": 5, "currency": "XQZ"}, 50_000, ""),
        ({"value": 5, "currency": "anna@example.com"}, 50_000, ""),
        ({"value": 5, "currency": "E" * 100_000}, 50_000, ""),
        ({"value": 5, "currency": ["EUR"]}, 50_000, ""),
        ({"value": 5}, 50_000, ""),
        ({"value": 1e20, "currency": "EUR"}, None, ""),
        ({"value": float("nan"), "currency": "EUR"}, None, ""),
        ({"value": "5", "currency": "EUR"}, None, ""),
        ({"currency": "EUR"}, None, ""),
    ],
)
def test_values_are_summed_by_currencies_that_exist(data: dict[str, Any], value: int | None, currency: str) -> None:
    """A text that is no ISO 4217 currency makes no sum of its own, and is stored nowhere."""
    facts = with_data(NO_FACTS, data, ())

    assert (facts.value, facts.currency) == (value, currency)
