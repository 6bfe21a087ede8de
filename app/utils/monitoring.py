"""The metrics of one service in a registry of their own, and together with those of its other processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.utils.instruments import (
    BUILD_INFO,
    INSTRUMENTS,
    LOOP_LAG,
    LOOP_LAG_MAX,
    PROCESSES,
    CounterSpec,
    GaugeSpec,
    HistogramSpec,
    ReadingSpec,
)

LAG_PROBE_SECONDS: Final = 0.02
# How old a value may be that another process sampled.
SAMPLE_SECONDS: Final = 1.0

# Values by those of their labels.
Values = Iterable[tuple[Sequence[str], float]]
T = TypeVar("T", bound=MetricWrapperBase)

# Without this the library writes a second gauge, of when it was created, beside every counter and histogram.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Children(Generic[T]):
    """The time series of one metric, each bound to the values of its labels once: the library's look-up takes longer
    than counting does.
    """

    def __init__(self, metric: T) -> None:
        self._metric = metric
        self._bound: dict[tuple[str, ...], T] = {}

    def of(self, *values: str) -> T:
        """The series with these values, in the order of the labels."""
        child = self._bound.get(values)
        if child is None:
            child = self._bound[values] = self._metric.labels(*values) if values else self._metric
        return child


class Metrics:
    """Every metric of one service; `app.utils.instruments` has them all."""

    def __init__(self, *, version: str, shared: Path | None = None) -> None:
        """`shared` is the folder in which processes of one service count together.

        Whoever started them named it in `PROMETHEUS_MULTIPROC_DIR`, which the library reads when it is imported.
        """
        self.registry = CollectorRegistry()
        self._shared = shared
        self._readings: list[_Reading] = []
        self._samples: list[_Sample] = []
        self._counters: dict[CounterSpec, Children[Counter]] = {}
        self._gauges: dict[GaugeSpec, Children[Gauge]] = {}
        self._histograms: dict[HistogramSpec, Children[Histogram]] = {}
        for spec in INSTRUMENTS:
            match spec:
                case CounterSpec():
                    self._counters[spec] = Children(_counter(spec, registry=self.registry))
                case GaugeSpec():
                    self._gauges[spec] = Children(_gauge(spec, registry=self.registry))
                case HistogramSpec():
                    self._histograms[spec] = Children(_histogram(spec, registry=self.registry))
        self.gauge(BUILD_INFO).of(version).set(1)
        self.gauge(PROCESSES).of().set(1)

    def counter(self, spec: CounterSpec) -> Children[Counter]:
        return self._counters[spec]

    def gauge(self, spec: GaugeSpec) -> Children[Gauge]:
        return self._gauges[spec]

    def histogram(self, spec: HistogramSpec) -> Children[Histogram]:
        return self._histograms[spec]

    def sample(self, spec: GaugeSpec, read: Callable[[], Values]) -> None:
        """Set the gauge to what is read here, again and again: each process knows its own."""
        self._samples.append(_Sample(self.gauge(spec), read))

    def show(self, spec: ReadingSpec, read: Callable[[], Values]) -> None:
        """Read the values, which are the same in every process, whenever the metrics are."""
        reading = _Reading(spec, read)
        self._readings.append(reading)
        self.registry.register(reading)

    async def keep_sampled(self) -> None:
        """Sample for ever what other processes show for this one too."""
        while True:
            self._take_samples()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def watch_event_loop(self) -> None:
        """Measure for ever how much later than asked the event loop wakes up; costs fifty wake-ups a second."""
        lag, longest, most = self.histogram(LOOP_LAG).of(), self.gauge(LOOP_LAG_MAX).of(), 0.0
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
        self._take_all()
        return self._write()

    async def expose(self) -> bytes:
        """The same, written in a thread: with thousands of series that takes longer than the event loop may stand."""
        self._take_all()
        return await asyncio.to_thread(self._write)

    def _write(self) -> bytes:
        if self._shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._shared))  # type: ignore[no-untyped-call]
        for reading in self._readings:
            together.register(reading)
        return generate_latest(together)

    def _take_samples(self) -> None:
        for sample in self._samples:
            sample.take()

    def _take_all(self) -> None:
        self._take_samples()
        for reading in self._readings:
            reading.take()


def _counter(spec: CounterSpec, *, registry: CollectorRegistry) -> Counter:
    return Counter(spec.name, spec.meaning, spec.labels, registry=registry)


def _gauge(spec: GaugeSpec, *, registry: CollectorRegistry) -> Gauge:
    return Gauge(spec.name, spec.meaning, spec.labels, registry=registry, multiprocess_mode=spec.together)


def _histogram(spec: HistogramSpec, *, registry: CollectorRegistry) -> Histogram:
    return Histogram(spec.name, spec.meaning, spec.labels, registry=registry, buckets=spec.buckets)


class _Sample:
    """A gauge that is set to what is read; a series that is no longer read falls to zero."""

    def __init__(self, gauge: Children[Gauge], read: Callable[[], Values]) -> None:
        self._gauge = gauge
        self._read = read
        self._known: set[tuple[str, ...]] = set()

    def take(self) -> None:
        values = {tuple(labels): value for labels, value in self._read()}
        for labels in self._known - values.keys():
            self._gauge.of(*labels).set(0)
        for labels, value in values.items():
            self._gauge.of(*labels).set(value)
        self._known |= values.keys()


class _Reading(Collector):
    """A gauge of what was read when the metrics were last asked for."""

    def __init__(self, spec: ReadingSpec, read: Callable[[], Values]) -> None:
        self._spec = spec
        self._read = read
        self._values: Sequence[tuple[Sequence[str], float]] = ()

    def take(self) -> None:
        self._values = tuple(self._read())

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._spec.name, self._spec.meaning, labels=self._spec.labels)
        for labels, value in self._values:
            family.add_metric(labels, value)
        yield family
