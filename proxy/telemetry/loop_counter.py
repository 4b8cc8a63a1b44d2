"""A counter for the hot path: an entry of a dictionary, converted for Prometheus only when metrics are requested.

The counters of prometheus_client take a lock and check the value at each increment, which would slow every request
three times. These counters need no lock, as they are changed on the event loop alone.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

# Label values are words of our own code, so there are never so many. If one holds other text by mistake, this bound
# protects the memory, and the monitoring, which keeps each set of labels as a series of its own.
MOST_LABEL_SETS: Final = 1000
OTHER: Final = "(other)"
"""The value of every label for sets of labels beyond ``MOST_LABEL_SETS``."""


class LabelCounts(dict[tuple[str, ...], float]):
    """Figures by the values of labels; each begins at 0, and ``since`` tells when."""

    def __init__(self) -> None:
        super().__init__()
        self.since: dict[tuple[str, ...], float] = {}
        """When each figure began, Unix time in seconds."""

    def __missing__(self, values: tuple[str, ...]) -> float:
        self.since[values] = time.time()
        return 0


class LoopCounter(Collector):
    """A counter for use on the event loop; once registered, it is rendered like any other counter."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        """Begin to count; without labels the figure is shown from the start.

        Args:
            name: The name of the metric, without ``_total``.
            text: The help text of the metric.
            labels: The names of the labels; their values are words of our code, so there are few.
        """
        self._name, self._text, self._labelnames = name, text, labels
        self.counts = LabelCounts()
        """The present figures. Code whose label values are all words of our own may add to them without ``inc``."""
        if not labels:
            self.inc(by=0)

    def inc(self, *values: str, by: float = 1) -> None:
        """Add ``by`` to the figure of these label values."""
        counts = self.counts
        if values not in counts and len(counts) >= MOST_LABEL_SETS:
            values = (OTHER,) * len(values)
        counts[values] += by

    @property
    def name(self) -> str:
        """The name of the metric, without ``_total``."""
        return self._name

    @property
    def labels(self) -> Sequence[str]:
        """The names of the labels."""
        return self._labelnames

    def describe(self) -> list[CounterMetricFamily]:
        """Return the metric without figures, for the registry's check that no name is used twice."""
        return [CounterMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the metric with its present figures."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labelnames)
        for values, count in self.counts.items():
            family.add_metric([str(value) for value in values], float(count), created=self.counts.since[values])
        yield family


class Additive(Protocol):
    """Figures that several processes add up."""

    @property
    def name(self) -> str:
        """The name of the metric."""

    @property
    def labels(self) -> Sequence[str]:
        """The names of the labels of ``counts``."""

    @property
    def counts(self) -> Mapping[tuple[str, ...], float]:
        """The present figures, by the values of the labels."""

    def inc(self, *values: str, by: float = 1) -> None:
        """Add ``by`` to the figure of these label values.

        Raises:
            LookupError: when the label values are impossible.
        """


class LoopCounters:
    """The counters and histograms of one process, whose growth another process can add to its own."""

    def __init__(self) -> None:
        self._counters: dict[str, Additive] = {}

    def add(self, counter: Additive) -> None:
        """Include a counter or a histogram."""
        self._counters[counter.name] = counter

    def counts(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return what was counted, by the name of the counter and the values of its labels."""
        return {(name, labels): by for name, counter in self._counters.items() for labels, by in counter.counts.items()}

    def grow(self, name: str, labels: Sequence[str], by: float) -> None:
        """Add what another process counted.

        Args:
            name: The name of the counter.
            labels: The values of its labels.
            by: By how much it grew.

        Raises:
            LookupError: when there is no such counter, or it has other labels.
        """
        counter = self._counters[name]
        if len(labels) != len(counter.labels):
            raise LookupError(f"{name} has other labels")
        counter.inc(*labels, by=by)
