"""One tree of errors: each class has an HTTP status, a stable code and an OpenAI error type.

    SluiceError
    ├── InvalidRequestError             the caller can mend it
    ├── AuthenticationError, PermissionDeniedError, NotFoundError, ConflictError
    ├── RateLimitedError
    ├── RoutingError                    no model may or can answer
    │   ├── NoCapableModelError
    │   ├── NoClearedModelError
    │   └── NotClearedError             raised by the gate itself
    ├── UpstreamError                   a model failed
    └── UnavailableError                one of our own engines is away

Messages are fixed words and numbers: never text from a request, a document or an upstream.
"""

from __future__ import annotations

from typing import ClassVar


class SluiceError(Exception):
    """The root. `param` names the offending field of the request, if there is one."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"
    # Which limit refused, in a fixed word, if one did.
    limit: str | None = None
    message: ClassVar[str] = "Something failed inside the gateway; the log has the details under this request id."

    def __init__(
        self, message: str | None = None, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        self.detail = message or self.message
        self.param = param
        self.retry_after = retry_after
        super().__init__(self.detail)


# The caller can mend it


class InvalidRequestError(SluiceError):
    status = 422
    code = "invalid_request"
    type = "invalid_request_error"
    message = "The request is not valid."


class MalformedBodyError(InvalidRequestError):
    status = 400
    code = "malformed_body"
    message = "The body is not valid JSON in UTF-8."


class UnknownModelError(InvalidRequestError):
    status = 404
    code = "model_not_found"
    message = "No model has this name. GET /models lists those that have one."


class PayloadTooLargeError(InvalidRequestError):
    status = 413
    code = "payload_too_large"
    message = "The body is too large."


class UnsupportedMediaError(InvalidRequestError):
    status = 415
    code = "unsupported_media_type"
    message = "This kind of content is not supported."


class EmptyDocumentError(InvalidRequestError):
    code = "empty_document"
    message = "The document is empty."


class AuthenticationError(SluiceError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"
    message = "A valid key is needed: send it as `Authorization: Bearer KEY`."


class PermissionDeniedError(SluiceError):
    status = 403
    code = "permission_denied"
    type = "permission_error"
    message = "This key may not do this."


class ScopeError(PermissionDeniedError):
    """`scope` is the one that the caller lacks."""

    code = "missing_scope"
    message = "This key lacks the scope that this endpoint asks for."

    def __init__(self, scope: str | None = None) -> None:
        super().__init__(None if scope is None else f"This key lacks the scope `{scope}`.")


class ModelNotAllowedError(PermissionDeniedError):
    code = "model_not_allowed"
    message = "This key may not use this model; GET /models lists those that it may."


class ForeignOriginError(PermissionDeniedError):
    code = "foreign_origin"
    message = "Without authentication only requests from and to this machine's loopback address are served."


class NotFoundError(SluiceError):
    status = 404
    code = "not_found"
    type = "invalid_request_error"
    message = "There is nothing here under this name."


class ConflictError(SluiceError):
    status = 409
    code = "conflict"
    type = "invalid_request_error"
    message = "This is in use by another request; try again."


class RateLimitedError(SluiceError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    message = "Too many requests; wait as long as Retry-After says."
    limit = "requests"

    def __init__(self, *, limit: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(retry_after=retry_after)
        self.limit = limit or self.limit


class TooManyStreamsError(RateLimitedError):
    code = "too_many_streams"
    message = "This key has as many streams open as it may; wait for one to end."
    limit = "streams"


class BudgetExceededError(RateLimitedError):
    code = "budget_exceeded"
    type = "insufficient_quota"
    message = "What this key or its tenant may spend is spent; Retry-After says when the day or month is over."
    limit = "budget"


class TokensOverLimitError(InvalidRequestError):
    status = 400
    code = "tokens_over_limit"
    message = "This request alone may need more tokens than its key has in a minute; lower max_tokens or shorten it."
    limit = "tokens_of_one_request"


# No model may or can answer


class RoutingError(SluiceError):
    type = "routing_error"


class NoCapableModelError(RoutingError):
    status = 400
    code = "no_capable_model"
    message = "Models are cleared for this request, but none of them can do what it asks for."


class NoClearedModelError(RoutingError):
    status = 503
    code = "no_cleared_model"
    message = "No model that answers is cleared for a request with this label; see POST /route for the reasons."


class NotClearedError(RoutingError):
    """Raised by the gate when something below the router tries to send what it must not: a bug that was stopped."""

    status = 503
    code = "not_cleared"
    message = "The gate stopped a dispatch above its model's clearance."

    def __init__(self, *, model: str) -> None:
        super().__init__(f"{model} is not cleared for this label; nothing was sent.")
        self.model = model


# A model failed


class UpstreamError(SluiceError):
    """A model's failure. `fallback` says whether another model may be tried instead."""

    status = 502
    code = "upstream_error"
    type = "upstream_error"
    message = "The model's server answered with an error."
    fallback: ClassVar[bool] = True


class UpstreamBrokenError(UpstreamError):
    code = "upstream_broken"
    message = "The model's answer was not complete or not readable."


class UpstreamRateLimitedError(UpstreamError):
    status = 429
    code = "upstream_rate_limited"
    type = "rate_limit_error"
    message = "The model's server limits the rate of requests; wait as long as Retry-After says."


class UpstreamQuotaError(UpstreamError):
    """The account is out of money or quota: waiting does not help, another provider may."""

    status = 429
    code = "upstream_quota_exceeded"
    type = "rate_limit_error"
    message = "The gateway's account with the model's provider has no quota left."


class RemoteModelError(UpstreamError):
    """A model that was taken for a local one runs on another host."""

    code = "model_not_local"
    message = "The model runs on another host than its server; it is not used as a local model."


class UpstreamAuthenticationError(UpstreamError):
    code = "upstream_authentication"
    message = "The model's server did not accept the gateway's key for it."


class UpstreamModelNotFoundError(UpstreamError):
    code = "upstream_model_not_found"
    message = "The model's server does not have this model."


class UpstreamRejectedError(UpstreamError):
    status = 400
    code = "upstream_rejected"
    type = "invalid_request_error"
    message = "The model's server did not accept the request as it stands."


class ContextLengthError(UpstreamError):
    status = 400
    code = "context_length_exceeded"
    type = "invalid_request_error"
    message = "The prompt and the answer asked for are longer than the model's context window."


class ContentFilterError(UpstreamError):
    status = 400
    code = "content_filter"
    type = "invalid_request_error"
    message = "The model's server refused the prompt by its content policy."
    fallback = False


class UpstreamUnavailableError(UpstreamError):
    status = 503
    code = "upstream_unavailable"
    message = "The model's server cannot be reached or is out of service."


class UpstreamTimeoutError(UpstreamError):
    status = 504
    code = "upstream_timeout"
    message = "The model's server did not answer in time."


class UpstreamGivenUpError(UpstreamTimeoutError):
    """The call was given up here, while the server was at work on it."""


class UpstreamBusyError(UpstreamError):
    status = 503
    code = "model_busy"
    message = "Too many requests wait for this model already; try again."


class WeakAnswerError(UpstreamError):
    """An answer that a cascade doubts; it is given out all the same if no other model answers."""

    code = "weak_answer"
    message = "The model's answer was not good enough."


# One of our own engines is away


class UnavailableError(SluiceError):
    status = 503
    code = "unavailable"
    type = "server_error"
    message = "A part of the gateway is not available; try again."


class DatabaseUnavailableError(UnavailableError):
    code = "database_unavailable"
    message = "The database does not answer; try again."


class VectorStoreUnavailableError(UnavailableError):
    code = "vector_store_unavailable"
    message = "The vector store does not answer; try again."


class ShuttingDownError(UnavailableError):
    code = "shutting_down"
    message = "The gateway is stopping; try again."


class ConfigurationError(Exception):
    """A setting that the gateway refuses to start with. Its text is for the operator's terminal."""
