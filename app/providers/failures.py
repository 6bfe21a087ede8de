"""Which error a model server's failure is, decided by its status and codes; its text is looked at, never passed on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.errors import (
    ContentFilterError,
    ContextLengthError,
    UpstreamAuthenticationError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamModelNotFoundError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

ErrorClass = type[UpstreamError]


# Codes that say more than the status they come with. Most servers that speak a protocol of somebody else's keep
# these words: OpenAI, Azure, OpenRouter, Anthropic, vLLM, llama.cpp.
BY_CODE: Mapping[str, ErrorClass] = {
    "context_length_exceeded": ContextLengthError,
    "exceed_context_size_error": ContextLengthError,
    "request_too_large": ContextLengthError,
    "string_above_max_length": ContextLengthError,
    "content_filter": ContentFilterError,
    "content_policy_violation": ContentFilterError,
    "moderation_blocked": ContentFilterError,
    "responsibleaipolicyviolation": ContentFilterError,
    "billing_hard_limit_reached": UpstreamQuotaError,
    "billing_not_active": UpstreamQuotaError,
    "insufficient_quota": UpstreamQuotaError,
    "model_not_found": UpstreamModelNotFoundError,
    "invalid_api_key": UpstreamAuthenticationError,
    "overloaded_error": UpstreamUnavailableError,
    "rate_limit_error": UpstreamRateLimitedError,
    "rate_limit_exceeded": UpstreamRateLimitedError,
}

# Types of error that say less than a status does: looked at only where there is none, in mid-stream.
BY_TYPE: Mapping[str, ErrorClass] = {
    "authentication_error": UpstreamAuthenticationError,
    "invalid_request_error": UpstreamRejectedError,
    "permission_error": UpstreamAuthenticationError,
    "timeout_error": UpstreamTimeoutError,
}

BY_STATUS: Mapping[int, ErrorClass] = {
    401: UpstreamAuthenticationError,
    402: UpstreamQuotaError,
    403: UpstreamAuthenticationError,
    404: UpstreamModelNotFoundError,
    408: UpstreamTimeoutError,
    413: ContextLengthError,
    429: UpstreamRateLimitedError,
    502: UpstreamUnavailableError,
    503: UpstreamUnavailableError,
    504: UpstreamTimeoutError,
    529: UpstreamUnavailableError,
}

# vLLM, OpenRouter, Ollama, Anthropic and others have no codes for these two, only words.
CONTEXT_LENGTH_WORDS = (
    "available context size",
    "context length",
    "context window",
    "prompt is too long",
    "prompt too long",
    "too many tokens",
)
CONTENT_FILTER_WORDS = (
    "content filtering policy",
    "content management policy",
    "content_filter",
    "content_policy_violation",
)
# Elsewhere the status says more than the text.
TOLD_BY_WORDS = frozenset({None, 400, 422, 500})

LONGEST_WAIT = 24 * 3600.0


def failure(
    *, status: int | None, codes: Sequence[str] = (), message: str = "", retry_after: float | None = None
) -> UpstreamError:
    """The error for a failure with this HTTP status (`None`: reported inside an answer), these codes and this text."""
    words = [code.lower() for code in codes]
    named = next((BY_CODE[word] for word in words if word in BY_CODE), None)
    if named is not None:
        return named(retry_after=retry_after)
    if status in TOLD_BY_WORDS and (told := _told_by(message.lower())) is not None:
        return told()
    if status is None:
        return next((BY_TYPE[word] for word in words if word in BY_TYPE), UpstreamError)()
    return _by_status(status)(retry_after=retry_after)


def _told_by(message: str) -> ErrorClass | None:
    if any(words in message for words in CONTEXT_LENGTH_WORDS):
        return ContextLengthError
    if any(words in message for words in CONTENT_FILTER_WORDS):
        return ContentFilterError
    return None


def _by_status(status: int) -> ErrorClass:
    if status in BY_STATUS:
        return BY_STATUS[status]
    if 300 <= status < 400:  # noqa: PLR2004  (the class of redirects, RFC 9110 section 15.4; none is followed)
        return UpstreamBrokenError
    return UpstreamRejectedError if 400 <= status < 500 else UpstreamError  # noqa: PLR2004  (RFC 9110 section 15.5)


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, at most a day: a number or an HTTP date (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now=now)
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None


def _seconds_until(date: str, *, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return math.nan
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
