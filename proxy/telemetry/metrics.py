"""Counters, histograms and gauges: how each follows from a decision, a verdict or the figures of the queue.

Labels hold reasons, verdicts and pixel ids of the configuration, never anything a visitor sent.
"""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest

from proxy.model.condition import Condition
from proxy.model.decision import Decision
from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import Verdict
from proxy.queue.contract import Stats, Stored
from proxy.telemetry.gauges import Gauges
from proxy.telemetry.loop_counter import LoopCounter, LoopCounters
from proxy.telemetry.loop_histogram import LoopHistogram
from proxy.telemetry.tallies import BETWEEN, SIGNAL, TallyCounters

_CONFLICT = "id:conflict"
# Seconds; most answers take some milliseconds, and a disk or a database that is slow some hundred.
_ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_GRAPH_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
# From at once to the age at which Meta refuses an event.
_LAG_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, 604800.0)


class Metrics:
    """The metrics of a proxy, in a registry of its own, so that two proxies in one process do not share counts."""

    def __init__(self, version: str = "") -> None:
        """Begin to count; ``version`` is that of the program."""
        self.registry = CollectorRegistry()
        self.counters = LoopCounters()
        self.tallies = TallyCounters(self.counters)
        """Small counts that are stored in the queue and not shown as metrics."""
        self._lost_in_fronts = 0
        self._requests = self._counter("requests", "Public requests", "endpoint", "status")
        self._limited = self._counter("limited", "Requests refused for their number or size, unread", "reason")
        self._connections = self._counter(
            "connections_ended", "Connections refused, or ended for what their client did", "listener", "reason"
        )
        self._events = self._counter("events", "Events by what became of them on arrival", "result", "reason")
        self._server_events = self._counter(
            "server_events", "Events that servers brought and that were not dropped, repeats too", "action_source"
        )
        self._sightings = self._counter(
            "sightings", "Events of pages that left their visitor, or a refusal, for servers' events", "reason"
        )
        self._webhooks = self._counter("webhooks", "Webhooks of shops by what they came to", "kind", "result")
        self._findings = self._counter(
            "findings", "What was wrong with the data of arriving events", "field", "finding"
        )
        self._reused = self._counter("id_reused", "Event ids that a second visitor brought: a cached page")
        self._conflicts = self._counter(
            "order_id_conflicts", "Purchases whose id another visitor brought with another value"
        )
        self._browser_copies = self._counter(
            "browser_copies", "Statuses of browser copies, with their event or later", "browser_copy"
        )
        self._redacted = self._counter("redacted", "What was removed since it would have leaked", "what", "place")
        self._untrusted_forwarding = self._counter(
            "untrusted_forwarding", "Requests with a forwarding header from an untrusted private peer"
        )
        self._faults = self._counter("faults", "Errors of ours that a request led to", "place")
        self._graph = self._counter(
            "graph_requests", "Requests to Graph by what their answer meant", "pixel", "verdict", "reason"
        )
        self._finished = self._counter("finished_events", "Events whose delivery ended, by how", "pixel", "status")
        self._ingest = self._histogram(
            "ingest_seconds", "From the head of a public request to its answer", _ANSWER_S, "endpoint"
        )
        self._commit = self._histogram("commit_seconds", "Until events that came together were durable", _ANSWER_S)
        self._lag = self._histogram(
            "delivery_lag_seconds", "From the arrival of an event to its delivery", _LAG_S, "pixel"
        )
        self._graph_latency = self._histogram(
            "graph_request_seconds", "From a request to Graph to its answer", _GRAPH_S, "pixel"
        )
        self._suppression_changes = self._counter("suppression_changes", "Suppressions by change", "kind", "change")
        self._gauges = Gauges(self.registry, version)

    def _counter(self, name: str, text: str, *labels: str) -> LoopCounter:
        counter = LoopCounter(f"capi_proxy_{name}", text, labels)
        self.registry.register(counter)
        self.counters.add(counter)
        return counter

    def _histogram(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> LoopHistogram:
        histogram = LoopHistogram(f"capi_proxy_{name}", text, labels, bounds)
        self.registry.register(histogram)
        self.counters.add(histogram)
        return histogram

    def lost_notes(self, notes: int) -> None:
        """Count ledger rows, and updates of browser copies, that were lost before they reached the queue."""
        self._lost_in_fronts += notes

    def request(self, endpoint: str, status: int) -> None:
        """Count an answer of the public listener."""
        self._requests.counts[endpoint, str(status)] += 1

    def answered(self, endpoint: str, seconds: float) -> None:
        """Count how long an answer of the public listener took."""
        self._ingest.observe(seconds, endpoint)

    def committed(self, seconds: float) -> None:
        """Count how long events that came together waited until they were durable, or refused."""
        self._commit.observe(seconds)

    def webhook(self, kind: str, result: str) -> None:
        """Count a webhook; ``result`` is ``events``, or why no events came of it."""
        self._webhooks.inc(kind, result)

    def sightings(self, sightings: Iterable[Sighting]) -> None:
        """Count sightings, each by why events of its order may not be sent; empty when it brings a visitor."""
        for sighting in sightings:
            self._sightings.inc(sighting.forbidden)

    def limited(self, reason: str) -> None:
        """Count a request that was refused before its body was read."""
        self._limited.inc(reason)

    def connection(self, listener: str, reason: str) -> None:
        """Count a connection that was refused or ended early."""
        self._connections.inc(listener, reason)

    def decision(self, decision: Decision, stored: Stored, seconds: float | None = None) -> None:
        """Count what was decided about one request, and the result of storing it.

        Args:
            decision: What was decided.
            stored: The result of storing it.
            seconds: How long storing took; None when there was nothing to store.
        """
        if seconds is not None:
            self.committed(seconds)
        self._events.counts["stored", ""] += len(decision.records) - len(stored.duplicates) - len(stored.refused)
        for record in decision.records:
            if record.browser_copy:
                self._browser_copies.counts[record.browser_copy,] += 1
            else:
                self._server_events.inc(record.action_source)
            if record.findings:
                self._count_findings(record.findings)
        for row in decision.dropped:
            self._count_dropped(row, decision.unknown_pixels)
        for update in decision.copy_updates:
            self._browser_copies.inc(update.browser_copy)
        for what, place in decision.redactions:
            self._redacted.inc(what, place)
        self._count_rarities(decision, stored)
        self._tally(decision)

    def _tally(self, decision: Decision) -> None:
        """Count the consent and the privacy signals of the visitors of arriving events."""
        events: Sequence[Record | LedgerRow] = (*decision.records, *decision.dropped)
        for event in events:
            if (facts := event.facts).site:
                self.tallies.consents[BETWEEN.join((facts.site, facts.consent, facts.consent_source)),] += 1
                if decision.gpc:
                    self.tallies.count(SIGNAL, facts.site, "gpc")

    def _count_dropped(self, row: LedgerRow, unknown_pixels: int) -> None:
        """Count a dropped row; one of unknown pixels stands for ``unknown_pixels`` events, without findings."""
        if row.reason == DropReason.UNKNOWN_PIXEL:
            self._events.inc("dropped", row.reason, by=unknown_pixels)
        else:
            self._events.inc("dropped", row.reason)
            self._count_findings(row.findings)

    def _count_findings(self, findings: Sequence[str]) -> None:
        for finding in findings:
            self._findings.inc(*finding.split(":"))

    def _count_rarities(self, decision: Decision, stored: Stored) -> None:
        if stored.duplicates:
            self._events.inc("duplicate", "", by=len(stored.duplicates))
        if decision.refused:
            self._events.inc("refused", "", by=decision.refused)
        for _, reason in stored.refused:
            self._events.inc("dropped", reason)
        if stored.reused:
            self._reused.inc(by=stored.reused)
        if stored.conflicts:
            self._conflicts.inc(by=len(stored.conflicts))
        if stored.conflicts or stored.duplicates:
            # The only finding that the queue makes; those of the rules are counted with their records.
            disagreeing = sum(_CONFLICT in record.findings for record in stored.duplicates)
            self._count_findings([_CONFLICT] * (disagreeing + len(stored.conflicts)))
        if decision.untrusted_forwarding:
            self._untrusted_forwarding.inc(by=decision.untrusted_forwarding)

    def fault(self, place: str) -> None:
        """Count an error of ours."""
        self._faults.inc(place)

    def verdict(self, pixel: str, verdict: Verdict, seconds: float) -> None:
        """Count an answer of Graph.

        Args:
            pixel: The id of the pixel whose events were sent.
            verdict: What the answer means.
            seconds: How long it took.
        """
        self._graph_latency.observe(seconds, pixel)
        reason = getattr(verdict, "reason", "")
        self._graph.inc(pixel, type(verdict).__name__.lower(), reason)

    def finished(self, pixel: str, status: str, events: int) -> None:
        """Count events whose delivery ended.

        Args:
            pixel: Its id.
            status: How it ended: delivered or dead.
            events: How many.
        """
        self._finished.inc(pixel, status, by=events)

    def delivered(self, pixel: str, lags_ms: Iterable[int]) -> None:
        """Count delivered events by how many milliseconds after their arrival they were delivered."""
        for lag_ms in lags_ms:
            self._lag.observe(lag_ms / 1000, pixel)

    def suppressed(self, kind: SuppressionKind) -> None:
        """Count a suppression."""
        self._suppression_changes.inc(kind, "set")

    def lifted(self, kinds: Iterable[SuppressionKind]) -> None:
        """Count suppressions that ended before their time, each by its kind."""
        for kind in kinds:
            self._suppression_changes.inc(kind, "lifted")

    def render(self, stats: Stats, conditions: Iterable[Condition] = ()) -> bytes:
        """Return all metrics in the Prometheus text format, the gauges from the figures of the queue and the board."""
        self._gauges.set(stats, conditions, lost_in_fronts=self._lost_in_fronts)
        return generate_latest(self.registry)
