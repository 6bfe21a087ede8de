"""What is learned of models from the calls that are made anyway."""

from __future__ import annotations

import pytest

from app.errors import (
    ContentFilterError,
    ContextLengthError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from app.services.health import FAILURES_THAT_OPEN, LATENCY_SECONDS, LONGEST_REST, OPEN_SECONDS, Health

MODEL = "openai/some"


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class LeftError(Exception):
    """Stands for a cancellation."""


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def health(time: Time) -> Health:
    return Health(monotonic=time)


def call(health: Health, error: Exception | None = None) -> None:
    """One call that ends like this."""
    try:
        with health.watch(MODEL):
            if error is not None:
                raise error
    except (UpstreamError, LeftError):
        pass


def fail(health: Health, times: int = FAILURES_THAT_OPEN) -> None:
    for _ in range(times):
        call(health, UpstreamTimeoutError())


def test_failures_in_a_row_open_the_breaker_and_a_success_between_them_does_not(health: Health) -> None:
    fail(health, FAILURES_THAT_OPEN - 1)
    call(health)
    fail(health, FAILURES_THAT_OPEN - 1)
    assert not health.is_open(MODEL)
    fail(health, 1)
    assert health.is_open(MODEL)
    assert health.view.open == {MODEL}


@pytest.mark.parametrize("error", [ContentFilterError(), ContextLengthError(), UpstreamRejectedError(), LeftError()])
def test_what_is_not_the_models_fault_does_not_count(health: Health, error: Exception) -> None:
    for _ in range(FAILURES_THAT_OPEN):
        call(health, error)
    assert not health.is_open(MODEL)


def test_after_its_time_one_call_probes_the_model_and_the_others_wait_for_it(health: Health, time: Time) -> None:
    fail(health)
    time.now += OPEN_SECONDS
    assert not health.is_open(MODEL)
    with health.watch(MODEL):
        assert health.is_open(MODEL)
    assert not health.is_open(MODEL)


def test_a_probe_that_fails_opens_the_breaker_again_at_once(health: Health, time: Time) -> None:
    fail(health)
    time.now += OPEN_SECONDS
    fail(health, 1)
    assert health.is_open(MODEL)
    time.now += OPEN_SECONDS
    assert not health.is_open(MODEL)


def test_a_probe_that_was_left_makes_room_for_the_next(health: Health, time: Time) -> None:
    fail(health)
    time.now += OPEN_SECONDS
    call(health, LeftError())
    assert not health.is_open(MODEL)


@pytest.mark.parametrize(("asked", "rests"), [(90.0, 90.0), (LONGEST_REST * 9, LONGEST_REST)])
def test_a_server_that_asks_to_be_left_alone_is_for_as_long_as_it_asks_within_reason(
    health: Health, time: Time, asked: float, rests: float
) -> None:
    call(health, UpstreamRateLimitedError(retry_after=asked))
    time.now += rests - 1
    assert health.is_open(MODEL)
    time.now += 1
    assert not health.is_open(MODEL)


def measure(health: Health, time: Time, *, seconds: float) -> None:
    """A call that begins after so many seconds and goes on for a minute."""
    with health.watch(MODEL) as note_content:
        time.now += seconds
        note_content()
        time.now += 60
        note_content()


def test_latency_is_a_moving_average_of_the_time_to_the_first_content(health: Health, time: Time) -> None:
    measure(health, time, seconds=1.0)
    measure(health, time, seconds=2.0)
    assert health.view.latency == {MODEL: pytest.approx(1.2)}


def test_an_old_measurement_says_nothing_of_now(health: Health, time: Time) -> None:
    measure(health, time, seconds=1.0)
    time.now += LATENCY_SECONDS
    assert health.view.latency == {}
    measure(health, time, seconds=3.0)
    assert health.view.latency == {MODEL: 3.0}
