"""What an OpenAI-compatible server reports when it fails."""

from __future__ import annotations

from datetime import datetime

from app.egress import Response
from app.errors import UpstreamError
from app.providers.failures import failure, retry_after_seconds
from app.providers.wire import JSONObject, decode, object_at, text_at


async def read_failure(response: Response, *, now: datetime) -> UpstreamError:
    """The error that a response with an error status stands for."""
    retry_after = retry_after_seconds(response.headers.get("Retry-After"), now=now)
    try:
        body = decode(await response.body())
    except UpstreamError:
        body = {}
    return reported_failure(body, status=response.status, retry_after=retry_after)


def reported_failure(body: JSONObject, *, status: int | None, retry_after: float | None = None) -> UpstreamError:
    """The error that an error body, or an error object inside an answer, reports."""
    error = body.get("error", body)
    report: JSONObject = error if isinstance(error, dict) else {"message": error}
    code = report.get("code")
    if status is None and isinstance(code, int) and not isinstance(code, bool):
        status = code
    codes = [text_at(report, "code"), text_at(report, "type"), text_at(object_at(report, "innererror"), "code")]
    if object_at(report, "metadata").keys() & {"flagged_input", "reasons"}:
        # OpenRouter's way of saying that a moderation model flagged the prompt.
        codes.append("content_filter")
    return failure(status=status, codes=codes, message=text_at(report, "message"), retry_after=retry_after)
