"""OpenAI's chat completions, embeddings and models, as its API reference and its own client know them.

Source: https://platform.openai.com/docs/api-reference/chat and the types of the `openai` package.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.models import JSONValue, Usage
from tests.support.answer import Answer, Failure, split_evenly
from tests.support.dialects.vectors import DIMENSIONS, embed
from tests.support.http import RecordedRequest
from tests.support.steps import Frame, Role, Steps, json_reply, stream_reply

CREATED = 1_767_225_600
ARGUMENT_PIECE = 6
DONE_FRAME = Frame(b"data: [DONE]\n\n", Role.DONE)

# Status: type, code and message of the error, as OpenAI words them.
ERRORS: Mapping[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "We could not parse the JSON body of your request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Country not supported."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIDialect:
    """`models` maps the ids that are listed to whatever more a server says of them (OpenRouter says much)."""

    models: Mapping[str, Mapping[str, JSONValue]] = field(default_factory=lambda: {"gpt-4o": {}, "gpt-4o-mini": {}})
    dimensions: int = DIMENSIONS

    def generates(self, request: RecordedRequest) -> bool:
        return request.path.endswith("/chat/completions")

    def streams(self, request: RecordedRequest) -> bool:
        return self.generates(request) and bool(request.json.get("stream"))

    def reply(self, request: RecordedRequest, *, answer: Answer) -> Steps:
        if self.streams(request):
            return stream_reply(list(_frames(request, answer=answer)), content_type="text/event-stream; charset=utf-8")
        if self.generates(request):
            return json_reply(_completion(request, answer=answer), headers={"x-request-id": f"req_{request.number}"})
        if request.path.endswith("/embeddings"):
            return json_reply(_embeddings(request, dimensions=self.dimensions))
        if request.path.endswith("/models"):
            return json_reply({"object": "list", "data": [self._listed(name) for name in self.models]})
        name = request.path.partition("/models/")[2]
        if name in self.models:
            return json_reply(self._listed(name))
        return json_reply(self.failure(Failure(status=404)), status=404)

    def failure(self, failure: Failure) -> JSONValue:
        if failure.kind == "context_length":
            return _error(
                "invalid_request_error",
                param="messages",
                code="context_length_exceeded",
                message=(
                    failure.message
                    or "This model's maximum context length is 8192 tokens. However, your messages resulted "
                    "in 9000 tokens. Please reduce the length of the messages."
                ),
            )
        if failure.kind == "content_filter":
            return _error(
                "invalid_request_error",
                param="prompt",
                code="content_filter",
                message=(
                    failure.message
                    or "The response was filtered due to the prompt triggering our content management policy."
                ),
            )
        kind, code, message = ERRORS.get(failure.status, ("server_error", None, "An error occurred."))
        return _error(kind, param=None, code=code, message=failure.message or message)

    def failure_frame(self, failure: Failure) -> bytes:
        return _event(self.failure(failure)).data

    def broken_frame(self) -> bytes:
        return b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"con\n\n'

    def _listed(self, name: str) -> JSONValue:
        return {"id": name, "object": "model", "created": CREATED, "owned_by": "system", **self.models[name]}


def _error(kind: str, *, param: str | None, code: str | None, message: str) -> JSONValue:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _event(value: JSONValue, *, role: Role = Role.CONTENT) -> Frame:
    return Frame(b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n", role)


def _choice_count(request: RecordedRequest, *, answer: Answer) -> int:
    return answer.choices if answer.choices is not None else int(request.json.get("n") or 1)


def _envelope(request: RecordedRequest, *, answer: Answer, kind: str) -> dict[str, JSONValue]:
    return {
        "id": f"chatcmpl-{request.number}",
        "object": kind,
        "created": CREATED,
        "model": request.json["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_0000000000",
        **answer.extra,
    }


def _usage(usage: Usage | None) -> JSONValue:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.details.cached, "audio_tokens": usage.details.audio},
        "completion_tokens_details": {
            "reasoning_tokens": usage.details.reasoning,
            "audio_tokens": usage.details.spoken,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprobs(request: RecordedRequest, *, tokens: Sequence[str], logprob: float) -> JSONValue:
    if not request.json.get("logprobs"):
        return None
    content: JSONValue = [
        {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []} for token in tokens
    ]
    return {"content": content, "refusal": None}


# Not streamed


def _completion(request: RecordedRequest, *, answer: Answer) -> JSONValue:
    count = _choice_count(request, answer=answer)
    choices: JSONValue = [_choice(request, answer=answer, index=index) for index in range(count)]
    body = {**_envelope(request, answer=answer, kind="chat.completion"), "choices": choices}
    return body if answer.usage is None else {**body, "usage": _usage(answer.usage)}


def _choice(request: RecordedRequest, *, answer: Answer, index: int) -> JSONValue:
    message: dict[str, JSONValue] = {
        "role": "assistant",
        "content": answer.text if answer.text and not answer.refusal else None,
        "refusal": answer.refusal or None,
        "annotations": [],
    }
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(request, tokens=answer.parts, logprob=answer.logprob),
        "finish_reason": answer.finish,
    }


# Streamed


def _frames(request: RecordedRequest, *, answer: Answer) -> Iterator[Frame]:
    """The chunks in order: the role, content, tool calls, the finish of each choice, usage if asked for, the end."""
    options = request.json.get("stream_options") or {}
    envelope = _envelope(request, answer=answer, kind="chat.completion.chunk")
    if options.get("include_usage"):
        envelope["usage"] = None
    count = _choice_count(request, answer=answer)
    if count == 0:
        yield _event({**envelope, "choices": []})
    for role, delta, tokens in _deltas(answer):
        logprobs = _logprobs(request, tokens=tokens, logprob=answer.logprob) if tokens else None
        for index in range(count):
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
            yield _event({**envelope, "choices": [choice]}, role=role)
    for index in range(count if answer.finish else 0):
        choice = {"index": index, "delta": {}, "logprobs": None, "finish_reason": answer.finish}
        yield _event({**envelope, "choices": [choice]}, role=Role.FINISH)
    if options.get("include_usage") and answer.usage:
        yield _event({**envelope, "choices": [], "usage": _usage(answer.usage)}, role=Role.USAGE)
    if answer.done:
        yield DONE_FRAME


def _deltas(answer: Answer) -> Iterator[tuple[Role, JSONValue, Sequence[str]]]:
    """Each delta with its role in the stream and the tokens it consists of."""
    yield Role.START, {"role": "assistant", "content": None if answer.tool_calls else "", "refusal": None}, ()
    for piece in split_evenly(answer.thinking, size=ARGUMENT_PIECE):
        yield Role.CONTENT, {"reasoning_content": piece}, ()
    for piece in split_evenly(answer.refusal, size=ARGUMENT_PIECE):
        yield Role.CONTENT, {"refusal": piece}, ()
    for piece in () if answer.refusal else answer.parts:
        yield Role.CONTENT, {"content": piece}, (piece,)
    for position, call in enumerate(answer.tool_calls):
        function: JSONValue = {"name": call.name, "arguments": ""}
        opening: JSONValue = {"index": position, "id": call.id, "type": "function", "function": function}
        yield Role.CONTENT, {"tool_calls": [opening]}, ()
        for piece in split_evenly(call.arguments, size=ARGUMENT_PIECE):
            yield Role.CONTENT, {"tool_calls": [{"index": position, "function": {"arguments": piece}}]}, ()


# Embeddings


def _embeddings(request: RecordedRequest, *, dimensions: int) -> JSONValue:
    given = request.json["input"]
    texts = [given] if isinstance(given, str) else given
    vectors = [embed(str(text), dimensions=request.json.get("dimensions") or dimensions) for text in texts]
    encode = _in_base64 if request.json.get("encoding_format") == "base64" else list
    data: JSONValue = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    tokens = sum(len(str(text).split()) for text in texts)
    usage: JSONValue = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.json["model"], "usage": usage}


def _in_base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
