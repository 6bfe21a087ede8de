"""What counts: series bound once, gauges that are sampled, and processes that count together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app.utils.instruments import BREAKER_OPEN, CACHE_LOOKUPS, PRICES, REQUESTS
from app.utils.monitoring import Metrics
from app.utils.surfaces import SURFACES, surface_of
from tests.support.exposition import total
from tests.support.process import REPOSITORY

COUNT = """
import sys
from pathlib import Path
from app.utils import instruments
from app.utils.monitoring import Metrics
metrics = Metrics(version="1", shared=Path(sys.argv[1]))
metrics.counter(instruments.REQUESTS).of("chat", "ok", "public", "miss").inc()
metrics.histogram(instruments.OVERHEAD).of("false").observe(0.004)
metrics.gauge(instruments.IN_FLIGHT).of().inc()
metrics.sample(instruments.BREAKER_OPEN, lambda: [(("openai/a",), float(sys.argv[2]))])
sys.stdout.write(metrics.render().decode())
"""


def test_a_series_is_bound_once() -> None:
    requests = Metrics(version="1").counter(REQUESTS)
    assert requests.of("chat", "ok", "public", "miss") is requests.of("chat", "ok", "public", "miss")
    assert requests.of("chat", "ok", "public", "hit") is not requests.of("chat", "ok", "public", "miss")


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Metrics(version="1"), Metrics(version="1")
    one.counter(CACHE_LOOKUPS).of().inc()
    assert total(one.render().decode(), CACHE_LOOKUPS.name) == 1
    assert total(other.render().decode(), CACHE_LOOKUPS.name) == 0


def test_what_is_sampled_no_longer_falls_to_zero() -> None:
    """A gauge that stayed as it was would report a breaker as open for ever."""
    metrics, open_now = Metrics(version="1"), ["openai/a"]
    metrics.sample(BREAKER_OPEN, lambda: [((model,), 1) for model in open_now])
    assert total(metrics.render().decode(), BREAKER_OPEN.name, model="openai/a") == 1
    open_now.clear()
    assert 'sluice_breaker_open{model="openai/a"} 0.0' in metrics.render().decode()


def test_what_is_read_is_as_it_is_at_that_moment() -> None:
    metrics, prices = Metrics(version="1"), {"openai/a": 1.0}
    metrics.show(PRICES, lambda: [((model, "prompt"), price) for model, price in prices.items()])
    assert total(metrics.render().decode(), PRICES.name) == 1
    prices.clear()
    assert "openai/a" not in metrics.render().decode()


def test_processes_count_together_and_the_worst_breaker_is_shown(tmp_path: Path) -> None:
    """Sums of counters, histograms and of what each holds; one process's open breaker is not hidden by another."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    texts = [
        subprocess.run(
            [sys.executable, "-c", COUNT, str(tmp_path), is_open], env=environment, capture_output=True, check=True
        ).stdout.decode()
        for is_open in ("1", "0")
    ]
    text = texts[-1]
    assert total(text, REQUESTS.name, surface="chat") == 2
    assert total(text, "sluice_gateway_overhead_seconds_bucket", le="0.005") == 2
    assert total(text, "sluice_requests_in_flight") == total(text, "sluice_processes") == 2
    assert total(text, "sluice_breaker_open") == 1


def test_a_path_has_a_surface_and_what_nobody_serves_is_other() -> None:
    assert surface_of("/v1/chat/completions") == "openai"
    assert surface_of("/chat/stream/") == "chat"
    assert surface_of("/") == "page"
    assert surface_of("/made/up") == "other"
    assert "other" not in SURFACES.values()
