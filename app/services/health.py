"""How the models have been doing lately: which of them keep failing, and how soon each begins to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from app.errors import UpstreamError

FAILURES_THAT_OPEN = 3
OPEN_SECONDS = 30.0
# A server that says when to come back is taken at its word, up to here.
LONGEST_REST = 300.0

# The share of the newest call in the moving average, and how long an average stands for how a model is now.
NEWEST_SHARE = 0.2
LATENCY_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The exponentially weighted moving average of the time to the first content, in seconds, and when it was taken."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """How the models are at one moment. `latency` is in seconds, by model id."""

    open: frozenset[str] = frozenset()
    latency: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row. Open, it sends a model to the end of every plan; it never refuses a call.

    When its time is up one call probes the model at its ordinary place, and closes the breaker or opens it anew.
    """

    failures: int = 0
    opened_until: float | None = None
    probing: bool = False

    def is_open(self, now: float) -> bool:
        return self.opened_until is not None and (now < self.opened_until or self.probing)

    def try_probe(self, now: float) -> bool:
        """Whether the call that begins now is the probe."""
        if self.opened_until is None or self.is_open(now):
            return False
        self.probing = True
        return True

    def record_success(self) -> None:
        self.failures = 0
        self.opened_until = None

    def record_failure(self, now: float, *, rest: float) -> None:
        """Count a failure; `rest` is for how many seconds the server asked to be left alone, zero if it did not."""
        self.failures += 1
        if rest > 0 or self.failures >= FAILURES_THAT_OPEN or self.opened_until is not None:
            self.opened_until = now + (min(rest, LONGEST_REST) or OPEN_SECONDS)


class Health:
    """Learns from the calls that are made anyway; nothing is sent to find out."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._breakers: dict[str, Breaker] = {}
        self._latencies: dict[str, Latency] = {}

    @property
    def view(self) -> HealthView:
        now = self._monotonic()
        return HealthView(
            open=frozenset(model for model, breaker in self._breakers.items() if breaker.is_open(now)),
            latency={
                key: latency.seconds for key, latency in self._latencies.items() if now - latency.at < LATENCY_SECONDS
            },
        )

    def breakers(self) -> Iterator[tuple[str, bool]]:
        """The models that were asked, and whether the breaker of each is open."""
        now = self._monotonic()
        return ((model, breaker.is_open(now)) for model, breaker in self._breakers.items())

    def is_open(self, model: str) -> bool:
        breaker = self._breakers.get(model)
        return breaker is not None and breaker.is_open(self._monotonic())

    @contextmanager
    def watch(self, model: str) -> Iterator[Callable[[], None]]:
        """Judge one call by how the block ends; what is yielded is to be called at each content: the first counts.

        A request that the model rightly refused is no failure, and a call that was left says nothing.
        """
        began = self._monotonic()
        breaker = self._breakers.get(model)
        if breaker is None:
            breaker = self._breakers[model] = Breaker()
        probe = breaker.try_probe(began)
        silent = True

        def note_content() -> None:
            nonlocal silent
            if silent:
                silent = False
                self._record_latency(model, began=began)

        try:
            yield note_content
            breaker.record_success()
        except UpstreamError as error:
            if is_fault(error):
                breaker.record_failure(self._monotonic(), rest=error.retry_after or 0.0)
            raise
        finally:
            if probe:
                breaker.probing = False

    def _record_latency(self, model: str, *, began: float) -> None:
        now = self._monotonic()
        seconds = now - began
        known = self._latencies.get(model)
        if known is not None and now - known.at < LATENCY_SECONDS:
            seconds = known.seconds + NEWEST_SHARE * (seconds - known.seconds)
        self._latencies[model] = Latency(seconds=seconds, at=now)


def is_fault(error: UpstreamError) -> bool:
    """Whether the failure is the model server's, not the request's."""
    return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.TOO_MANY_REQUESTS
