"""A counter for the hot way: one entry of a dictionary, read by Prometheus only when somebody asks.

The counters of prometheus_client take a lock and check their value with each step, which a request would pay for three
times. What is counted here is counted on the event loop alone.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

# Labels are words of ours, so there are never so many; if one is not after all, it costs neither memory nor the
# monitoring that keeps each set of labels as a series of its own.
MOST_LABEL_SETS: Final = 1000
OTHER: Final = "(other)"
"""Stands in all labels for the sets beyond the most there may be."""


class LabelCounts(dict[tuple[str, ...], float]):
    """Figures by the values of labels; each begins at 0, and is known to have begun then."""

    def __init__(self) -> None:
        super().__init__()
        self.since: dict[tuple[str, ...], float] = {}
        """When each began, Unix time in seconds."""

    def __missing__(self, values: tuple[str, ...]) -> float:
        self.since[values] = time.time()
        return 0


class LoopCounter(Collector):
    """Counts on the event loop; register it, and its figures are shown as those of any other counter."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        """Begin to count; without labels the figure is shown from the start.

        Args:
            name: Of the metric, without ``_total``.
            text: What it says.
            labels: Their names; the values are ours, so there are few.
        """
        self._name, self._text, self._labelnames = name, text, labels
        self.counts = LabelCounts()
        """The figures as they stand. Whoever counts under words of our code alone adds to them at once."""
        if not labels:
            self.inc(by=0)

    def inc(self, *values: str, by: float = 1) -> None:
        """Count under these values of the labels."""
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
        """Return what there is to count, for the check that no name is used twice."""
        return [CounterMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the figures as they stand."""
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
        """The figures as they stand, by the values of the labels."""

    def inc(self, *values: str, by: float = 1) -> None:
        """Add to the figure under these values of the labels.

        Raises:
            LookupError: when there can be no such figure.
        """


class LoopCounters:
    """Counters and histograms of one process, as another one adds them to its own."""

    def __init__(self) -> None:
        self._counters: dict[str, Additive] = {}

    def add(self, counter: Additive) -> None:
        """Take a counter or a histogram."""
        self._counters[counter.name] = counter

    def counts(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return what was counted, by the name of the counter and the values of its labels."""
        return {(name, labels): by for name, counter in self._counters.items() for labels, by in counter.counts.items()}

    def grow(self, name: str, labels: Sequence[str], by: float) -> None:
        """Add what another process counted.

        Args:
            name: Of the counter.
            labels: The values of its labels.
            by: What it grew by.

        Raises:
            LookupError: when there is no such counter, or it has other labels.
        """
        counter = self._counters[name]
        if len(labels) != len(counter.labels):
            raise LookupError(f"{name} has other labels")
        counter.inc(*labels, by=by)
