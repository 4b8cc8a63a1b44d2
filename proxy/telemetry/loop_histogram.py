"""A histogram for the hot path: an observation changes a list, as ``LoopCounter`` changes a dictionary."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from proxy.telemetry.loop_counter import MOST_LABEL_SETS, OTHER

_SUM = "sum"


class LoopHistogram(Collector):
    """A histogram of durations for use on the event loop; once registered, it is rendered like any other histogram.

    Another process adds its figures slot by slot, each under one label more than the histogram has: the number of the
    slot, or ``sum``.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        """Begin to count; without labels the figures are shown from the start.

        Args:
            name: The name of the metric.
            text: The help text of the metric.
            labels: The names of the labels; their values are words of our code, so there are few.
            bounds: The largest value of each slot, rising, in the unit that the name ends with.
        """
        self._name, self._text, self._labelnames, self._bounds = name, text, labels, bounds
        self._slots: dict[tuple[str, ...], list[float]] = {}
        """By the values of the labels: how many values are in each slot and beyond the last slot, then their sum."""
        if not labels:
            self._of(())

    def observe(self, value: float, *labels: str) -> None:
        """Count a value under these label values.

        Args:
            value: In the unit of the metric; a negative one, from a clock that was set back, counts as 0.
            labels: The values of the labels.
        """
        try:
            slots = self._slots[labels]
        except KeyError:
            slots = self._of(labels)
        slots[bisect_left(self._bounds, value)] += 1
        if value > 0:
            slots[-1] += value

    @property
    def name(self) -> str:
        """The name of the metric."""
        return self._name

    @property
    def counts(self) -> Mapping[tuple[str, ...], float]:
        """The present figures, in the form in which another process adds them to its own."""
        return {
            (*labels, _SUM if index == len(slots) - 1 else str(index)): figure
            for labels, slots in self._slots.items()
            for index, figure in enumerate(slots)
            if figure
        }

    @property
    def labels(self) -> Sequence[str]:
        """The names of the labels of ``counts``."""
        return (*self._labelnames, "slot")

    def inc(self, *values: str, by: float = 1) -> None:
        """Add what another process counted in a slot.

        Raises:
            LookupError: when there is no such slot.
        """
        *labels, slot = values
        slots = self._of(tuple(labels))
        if slot != _SUM and not (slot.isdecimal() and int(slot) <= len(self._bounds)):
            raise LookupError(f"{self._name} has no slot {slot[:20]!r}")
        slots[-1 if slot == _SUM else int(slot)] += by

    def describe(self) -> list[HistogramMetricFamily]:
        """Return the metric without figures, for the registry's check that no name is used twice."""
        return [HistogramMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric with its present figures."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labelnames)
        for labels, slots in self._slots.items():
            total, buckets = 0.0, []
            for bound, count in zip((*self._bounds, float("inf")), slots[:-1], strict=True):
                total += count
                buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
            family.add_metric([str(value) for value in labels], buckets, slots[-1])
        yield family

    def _of(self, labels: tuple[str, ...]) -> list[float]:
        """Return the figures of a set of label values; beyond ``MOST_LABEL_SETS``, those shared by all further sets."""
        if labels not in self._slots and len(self._slots) >= MOST_LABEL_SETS:
            labels = (OTHER,) * len(labels)
        return self._slots.setdefault(labels, [0.0] * (len(self._bounds) + 2))
