"""The metrics, in a registry of their own: fixed names, and labels that only take fixed words and model ids."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1)
LAG_PROBE_SECONDS = 0.01

# Values by those of their labels.
Values = Iterable[tuple[Sequence[str], float]]


class Metrics:
    """Every metric of one service."""

    def __init__(self, *, version: str, shared: Path | None = None) -> None:
        """`shared` is the folder in which processes of one service count together.

        Whoever started them named it in `PROMETHEUS_MULTIPROC_DIR`, which the library reads when it is imported.
        """
        self.registry = CollectorRegistry()
        self._shared = shared
        self._live: list[Collector] = []
        self.requests = Counter(
            "sluice_requests", "Chat requests by outcome.", ("outcome", "label", "cache"), registry=self.registry
        )
        self.duration = Histogram(
            "sluice_request_duration_seconds",
            "From the request to the end of its answer.",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.first_token = Histogram(
            "sluice_time_to_first_token_seconds",
            "From the request to the first token of its answer.",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.tokens = Counter(
            "sluice_tokens",
            "Tokens of every call, answered or not, by model and kind; estimated where the provider told none.",
            ("model", "kind", "estimated"),
            registry=self.registry,
        )
        self.cost = Counter("sluice_cost_usd", "US dollars by model.", ("model",), registry=self.registry)
        self.budget_alerts = Counter(
            "sluice_budget_alerts",
            "Budgets of which so many percent were spent.",
            ("whose", "period", "percent"),
            registry=self.registry,
        )
        self.attempts = Counter(
            "sluice_upstream_attempts", "Calls to models by outcome.", ("model", "outcome"), registry=self.registry
        )
        self.cascade_checks = Counter(
            "sluice_cascade_checks",
            "Answers of a cascade's cheap models by what was thought of them.",
            ("model", "verdict"),
            registry=self.registry,
        )
        self.egress_denials = Counter(
            "sluice_egress_denials",
            "Dispatches that the gate stopped, each of them a bug.",
            ("model",),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "sluice_requests_in_flight",
            "Chat requests being answered.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.documents = Counter(
            "sluice_documents", "Documents by how their ingestion ended.", ("outcome",), registry=self.registry
        )
        self.cache_lookups = Counter(
            "sluice_cache_lookups", "Requests that the cache was asked for.", registry=self.registry
        )
        self.cache_hits = Counter(
            "sluice_cache_hits", "Answers without a call of their own, by kind.", ("kind",), registry=self.registry
        )
        self.cache_kept_bytes = Counter(
            "sluice_cache_kept_bytes", "Bytes written to the cache.", registry=self.registry
        )
        self.cache_saved_usd = Counter(
            "sluice_cache_saved_usd", "US dollars that hits did not cost.", registry=self.registry
        )
        self.cache_saved_seconds = Counter(
            "sluice_cache_saved_seconds", "Seconds of models that hits did not take.", registry=self.registry
        )
        build = Gauge(
            "sluice_build_info",
            "The version that runs.",
            ("version",),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        build.labels(version=version).set(1)

    def watch_breakers(self, read_open: Callable[[], Iterable[str]]) -> None:
        """Show which breakers are open whenever the metrics are read; `read_open` gives the ids of their models."""
        self._show(_OpenBreakers(read_open))

    def watch_gauge(
        self,
        name: str,
        meaning: str,
        *,
        labels: Sequence[str],
        read: Callable[[], Values],
    ) -> None:
        """Show what is read whenever the metrics are: values by those of their labels."""
        self._show(_Readings(name, meaning, labels=labels, read=read))

    def _show(self, live: Collector) -> None:
        self._live.append(live)
        self.registry.register(live)

    async def watch_event_loop(self) -> None:
        """Measure for ever how much later than asked the event loop wakes up; costs a hundred wake-ups a second."""
        lag = Histogram(
            "sluice_event_loop_lag_seconds",
            "How much later than asked the event loop woke up.",
            registry=self.registry,
            buckets=LAG_SECONDS,
        )
        longest = Gauge("sluice_event_loop_lag_max_seconds", "The longest such delay so far.", registry=self.registry)
        most = 0.0
        while True:
            asked = time.perf_counter() + LAG_PROBE_SECONDS
            await asyncio.sleep(LAG_PROBE_SECONDS)
            late = max(0.0, time.perf_counter() - asked)
            lag.observe(late)
            if late > most:
                most = late
                longest.set(most)

    def render(self) -> bytes:
        """The metrics in Prometheus' text format: those of all processes that count together."""
        if self._shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._shared))  # type: ignore[no-untyped-call]
        for live in self._live:
            together.register(live)
        return generate_latest(together)


class _Readings(Collector):
    """A gauge that is read at the moment it is asked for."""

    def __init__(
        self,
        name: str,
        meaning: str,
        *,
        labels: Sequence[str],
        read: Callable[[], Values],
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._read = read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family


class _OpenBreakers(Collector):
    """A gauge of the breakers that are open at the moment of reading."""

    def __init__(self, read_open: Callable[[], Iterable[str]]) -> None:
        self._read_open = read_open

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("sluice_breaker_open", "1 for each model whose breaker is open.", labels=("model",))
        for model in sorted(self._read_open()):
            family.add_metric((model,), 1)
        yield family
