"""What is counted of each chat request, once, when it has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.models import Attempt, Charge, Route
from app.services.cascade import Verdict
from app.utils import instruments
from app.utils.monitoring import Metrics

CHAT, EMBEDDINGS = "chat", "embeddings"
# The tier of a model that has none.
NO_TIER = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSummary:
    """A request that has ended. `model` is the one that answered, `None` if none began to.

    Times are in seconds. `called_seconds` is for how long its call, or the one that it shared, was under way.
    """

    surface: str
    outcome: str
    label: str
    cache: str
    cached: bool
    model: str | None
    seconds: float
    first_token_seconds: float | None
    called_seconds: float
    route: Route | None
    charges: Sequence[Charge]


class RequestMetrics:
    """Counts requests; what it counts with is bound to its labels at their first sight."""

    def __init__(self, metrics: Metrics) -> None:
        self.in_flight = metrics.gauge(instruments.IN_FLIGHT).of()
        self._requests = metrics.counter(instruments.REQUESTS)
        self._duration = metrics.histogram(instruments.REQUEST_DURATION)
        self._first_token = metrics.histogram(instruments.FIRST_TOKEN)
        self._overhead = metrics.histogram(instruments.OVERHEAD)
        self._decisions = metrics.counter(instruments.ROUTE_DECISIONS)
        self._dropped = metrics.counter(instruments.DROPPED_CANDIDATES)
        self._attempts = metrics.counter(instruments.ATTEMPTS)
        self._checks = metrics.counter(instruments.CASCADE_CHECKS)
        self._charges = ChargeMetrics(metrics)

    def count(self, request: RequestSummary) -> None:
        self._requests.of(request.surface, request.outcome, request.label, request.cache).inc()
        cached = "true" if request.cached else "false"
        if request.model is not None and request.first_token_seconds is not None:
            labels = (*called(request.model), cached)
            self._duration.of(*labels).observe(request.seconds)
            self._first_token.of(*labels).observe(request.first_token_seconds)
        if request.outcome == "ok":
            self._overhead.of(cached).observe(max(0.0, request.seconds - request.called_seconds))
        if request.route is not None:
            self._count_route(request.route, was_decided=request.cache not in ("hit", "semantic"))
        for charge in request.charges:
            self._charges.count(charge, label=request.label)

    def _count_route(self, route: Route, *, was_decided: bool) -> None:
        """An answer from the cache has the route of the request that it was first given to."""
        if was_decided:
            self._decisions.of(route.rule, route.complexity.value, route.label.word).inc()
            drops = Counter(candidate.dropped for candidate in route.candidates if candidate.dropped is not None)
            for reason, number in drops.items():
                self._dropped.of(reason).inc(number)
        for attempt in route.attempts:
            self._count_attempt(attempt)

    def _count_attempt(self, attempt: Attempt) -> None:
        self._attempts.of(attempt.model, attempt.outcome).inc()
        if attempt.check is not None and (attempt.outcome != "ok" or attempt.check == Verdict.KEPT):
            # A doubted answer that was given out for want of another has been counted when it was doubted.
            self._checks.of(attempt.model, attempt.check).inc()


class ChargeMetrics:
    """Counts what calls to models took."""

    def __init__(self, metrics: Metrics, *, operation: str = CHAT) -> None:
        self._operation = operation
        self._tokens = metrics.counter(instruments.TOKENS_USED)
        self._usage = metrics.histogram(instruments.TOKEN_USAGE)
        self._cost = metrics.counter(instruments.COST)

    def count(self, charge: Charge, *, label: str) -> None:
        usage, estimated = charge.usage, "true" if charge.usage.estimated else "false"
        tier = NO_TIER if charge.tier is None else charge.tier.value
        labels = called(charge.model, operation=self._operation)
        self._tokens.of(charge.model, tier, label, "prompt", estimated).inc(usage.prompt_tokens)
        self._usage.of(*labels, "input").observe(usage.prompt_tokens)
        if self._operation == CHAT:
            self._tokens.of(charge.model, tier, label, "completion", estimated).inc(usage.completion_tokens)
            self._usage.of(*labels, "output").observe(usage.completion_tokens)
        if charge.cost is not None:
            self._cost.of(charge.model, tier, label).inc(charge.cost)


def called(model: str, *, operation: str = CHAT) -> tuple[str, str, str]:
    """OpenTelemetry's labels of an operation: what it does, the provider and the model's id."""
    return operation, model.partition("/")[0], model
