"""Every metric there is: its name as Prometheus sees it, what it means, and the labels it has.

Names are OpenTelemetry's for generative AI where it has one, in the form that its exporters give them for Prometheus
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/), and begin with `sluice_` otherwise. Labels take
fixed words, model ids of the catalog and surfaces: never who asked, what was asked, or a name that only a caller knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

OPERATION, PROVIDER, MODEL = "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"
CALLED: Final = (OPERATION, PROVIDER, MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A metric. `name` is what stands in the exposition; a histogram's samples add `_bucket`, `_sum` and `_count`."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSpec(Instrument):
    """Only grows. Processes add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeSpec(Instrument):
    """Goes up and down; `together` says how the values of several processes become one."""

    together: Literal["livesum", "livemax"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSpec(Instrument):
    """A gauge of what is the same in every process, read when the metrics are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramSpec(Instrument):
    """How values are spread over buckets, whose upper bounds these are. Processes add up."""

    buckets: tuple[float, ...]


# Upper bounds. The first is OpenTelemetry's advice for tokens, up to the longest context there is.
TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
ANSWER_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
TOKEN_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1)
OVERHEAD_SECONDS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
RETRIEVAL_SECONDS: Final = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
PASSAGES: Final = (0, 1, 2, 3, 5, 10, 20)
STAGE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
LAG_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1)

# Requests

REQUESTS = CounterSpec(
    name="sluice_requests_total",
    meaning="Chat requests by surface, by outcome (`ok`, `cancelled` or the code of the error), label and cache.",
    labels=("surface", "outcome", "label", "cache"),
)
ERRORS = CounterSpec(
    name="sluice_errors_total",
    meaning="Errors that clients were told, on any endpoint, by their code.",
    labels=("surface", "code"),
)
HTTP_RESPONSES = CounterSpec(
    name="sluice_http_responses_total",
    meaning="HTTP responses by status; a stream counts when it begins.",
    labels=("surface", "status"),
)
REQUEST_DURATION = HistogramSpec(
    name="gen_ai_server_request_duration_seconds",
    meaning="From a chat request to the end of its answer.",
    labels=(*CALLED, "cached"),
    buckets=ANSWER_SECONDS,
)
FIRST_TOKEN = HistogramSpec(
    name="gen_ai_server_time_to_first_token_seconds",
    meaning="From a chat request to the first token of its answer.",
    labels=(*CALLED, "cached"),
    buckets=ANSWER_SECONDS,
)
OVERHEAD = HistogramSpec(
    name="sluice_gateway_overhead_seconds",
    meaning="Time of answered chat requests outside the calls to models: reading, retrieving, routing, storing.",
    labels=("cached",),
    buckets=OVERHEAD_SECONDS,
)
IN_FLIGHT = GaugeSpec(
    name="sluice_requests_in_flight", meaning="Chat requests that are being answered.", together="livesum"
)
OPEN_STREAMS = GaugeSpec(
    name="sluice_open_streams", meaning="Event streams that are open to clients.", together="livesum"
)
OPEN_SOCKETS = GaugeSpec(name="sluice_open_sockets", meaning="WebSockets that are open.", together="livesum")
LIMIT_REJECTIONS = CounterSpec(
    name="sluice_limit_rejections_total",
    meaning="Requests and messages that a limit refused, by which one.",
    labels=("limit",),
)
BUDGET_ALERTS = CounterSpec(
    name="sluice_budget_alerts_total",
    meaning="Budgets of which so many percent were spent, once in each period over all processes.",
    labels=("whose", "period", "percent"),
)

# Routing and models

ROUTE_DECISIONS = CounterSpec(
    name="sluice_route_decisions_total",
    meaning="Chat requests by the rule that chose their models.",
    labels=("rule", "complexity", "label"),
)
DROPPED_CANDIDATES = CounterSpec(
    name="sluice_candidates_dropped_total",
    meaning="Models that could not get a request, by the reason.",
    labels=("reason",),
)
EGRESS_DENIALS = CounterSpec(
    name="sluice_egress_denials_total",
    meaning="Dispatches that the gate stopped, each of them a bug.",
    labels=("model",),
)
OPERATION_DURATION = HistogramSpec(
    name="gen_ai_client_operation_duration_seconds",
    meaning="Calls to models from the request to the end; `error_type` is empty for those that went well.",
    labels=(*CALLED, "error_type"),
    buckets=ANSWER_SECONDS,
)
FIRST_CHUNK = HistogramSpec(
    name="gen_ai_client_operation_time_to_first_chunk_seconds",
    meaning="Calls to models from the request to the first piece of the answer.",
    labels=CALLED,
    buckets=ANSWER_SECONDS,
)
TIME_PER_TOKEN = HistogramSpec(
    name="gen_ai_server_time_per_output_token_seconds",
    meaning="Of calls that went well: the time for each token after the first.",
    labels=CALLED,
    buckets=TOKEN_SECONDS,
)
TOKEN_USAGE = HistogramSpec(
    name="gen_ai_client_token_usage",
    meaning="Tokens of a call to a model.",
    labels=(*CALLED, "gen_ai_token_type"),
    buckets=TOKENS,
)
TOKENS_USED = CounterSpec(
    name="sluice_tokens_total",
    meaning="Tokens of every call, answered or not; estimated where the provider told none.",
    labels=("model", "tier", "label", "kind", "estimated"),
)
COST = CounterSpec(
    name="sluice_cost_usd_total",
    meaning="US dollars that calls to models cost, where the price is known.",
    labels=("model", "tier", "label"),
)
ATTEMPTS = CounterSpec(
    name="sluice_upstream_attempts_total", meaning="Calls to models by outcome.", labels=("model", "outcome")
)
CASCADE_CHECKS = CounterSpec(
    name="sluice_cascade_checks_total",
    meaning="Answers of a cascade's cheap models by what was thought of them.",
    labels=("model", "verdict"),
)
BREAKER_OPEN = GaugeSpec(
    name="sluice_breaker_open",
    meaning="1 while the breaker of a model is open in some process, else 0.",
    labels=("model",),
    together="livemax",
)
PRICES = ReadingSpec(name="sluice_model_price_usd", meaning="US dollars for a token.", labels=("model", "kind"))
FALLBACK_POSITION = ReadingSpec(
    name="sluice_fallback_position",
    meaning="A model's place among those that a public prompt of a tier tries, from 1.",
    labels=("tier", "model"),
)

# Cache

CACHE_LOOKUPS = CounterSpec(name="sluice_cache_lookups_total", meaning="Requests that the cache was asked for.")
CACHE_HITS = CounterSpec(
    name="sluice_cache_hits_total", meaning="Answers without a call of their own, by kind.", labels=("kind",)
)
CACHE_KEPT_BYTES = CounterSpec(name="sluice_cache_kept_bytes_total", meaning="Bytes written to the cache.")
CACHE_HELD_BYTES = GaugeSpec(
    name="sluice_cache_held_bytes", meaning="Bytes that the caches in the processes hold.", together="livesum"
)
CACHE_SAVED_USD = CounterSpec(name="sluice_cache_saved_usd_total", meaning="US dollars that hits did not cost.")
CACHE_SAVED_SECONDS = CounterSpec(
    name="sluice_cache_saved_seconds_total", meaning="Seconds of models that hits did not take."
)

# Documents

RETRIEVAL_DURATION = HistogramSpec(
    name="sluice_retrieval_duration_seconds",
    meaning="Looking up passages, for a search or for a chat request.",
    labels=("purpose",),
    buckets=RETRIEVAL_SECONDS,
)
RETRIEVED_PASSAGES = HistogramSpec(
    name="sluice_retrieval_passages",
    meaning="Passages that were found; for a chat request those that bear on it.",
    labels=("purpose",),
    buckets=PASSAGES,
)
DOCUMENTS = CounterSpec(
    name="sluice_documents_total", meaning="Documents by how their ingestion ended.", labels=("outcome",)
)
STAGE_DURATION = HistogramSpec(
    name="sluice_ingestion_stage_duration_seconds",
    meaning="The stages of indexing a document.",
    labels=("stage",),
    buckets=STAGE_SECONDS,
)
QUEUE = ReadingSpec(
    name="sluice_ingestion_queue_jobs",
    meaning="Jobs that are left: being worked on (`running`), due (`due`), or put off (`delayed`).",
    labels=("kind", "state"),
)

# The processes

LOOP_LAG = HistogramSpec(
    name="sluice_event_loop_lag_seconds",
    meaning="How much later than asked the event loop woke up.",
    buckets=LAG_SECONDS,
)
LOOP_LAG_MAX = GaugeSpec(
    name="sluice_event_loop_lag_max_seconds", meaning="The longest such delay so far.", together="livemax"
)
PROCESSES = GaugeSpec(name="sluice_processes", meaning="Processes that serve.", together="livesum")
BUILD_INFO = GaugeSpec(
    name="sluice_build_info", meaning="The version that runs.", labels=("version",), together="livemax"
)

INSTRUMENTS: Final = tuple(value for value in tuple(vars().values()) if isinstance(value, Instrument))
