"""The metrics, in a registry of their own: fixed names, and labels that only take fixed words and model ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Every metric of one service."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
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
        self.tokens = Counter("sluice_tokens", "Tokens by model and kind.", ("model", "kind"), registry=self.registry)
        self.cost = Counter("sluice_cost_usd", "US dollars by model.", ("model",), registry=self.registry)
        self.attempts = Counter(
            "sluice_upstream_attempts", "Calls to models by outcome.", ("model", "outcome"), registry=self.registry
        )
        self.egress_denials = Counter(
            "sluice_egress_denials",
            "Dispatches that the gate stopped, each of them a bug.",
            ("model",),
            registry=self.registry,
        )
        self.in_flight = Gauge("sluice_requests_in_flight", "Chat requests being answered.", registry=self.registry)
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
        build = Gauge("sluice_build_info", "The version that runs.", ("version",), registry=self.registry)
        build.labels(version=version).set(1)

    def watch_breakers(self, read_open: Callable[[], Iterable[str]]) -> None:
        """Show which breakers are open whenever the metrics are read; `read_open` gives the ids of their models."""
        self.registry.register(_OpenBreakers(read_open))

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _OpenBreakers(Collector):
    """A gauge of the breakers that are open at the moment of reading."""

    def __init__(self, read_open: Callable[[], Iterable[str]]) -> None:
        self._read_open = read_open

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("sluice_breaker_open", "1 for each model whose breaker is open.", labels=("model",))
        for model in sorted(self._read_open()):
            family.add_metric((model,), 1)
        yield family
