"""Anthropic's Messages API, JSON and server-sent events.

Source: https://docs.claude.com/en/api/messages, /en/docs/build-with-claude/streaming and /en/api/errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.models import JSONValue
from tests.support.answer import Answer, Failure, split_evenly
from tests.support.http import RecordedRequest
from tests.support.steps import Frame, Role, Steps, json_reply, stream_reply

CREATED_AT = "2026-01-01T00:00:00Z"
ARGUMENT_PIECE = 6
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "messages: Field required"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit"),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicDialect:
    models: Sequence[str] = ("claude-sonnet-4-5", "claude-haiku-4-5")

    def generates(self, request: RecordedRequest) -> bool:
        return request.path.endswith("/messages")

    def streams(self, request: RecordedRequest) -> bool:
        return self.generates(request) and bool(request.json.get("stream"))

    def reply(self, request: RecordedRequest, *, answer: Answer) -> Steps:
        if self.streams(request):
            return stream_reply(list(_frames(request, answer=answer)), content_type="text/event-stream; charset=utf-8")
        if self.generates(request):
            return json_reply(_body(request, answer=answer), headers={"request-id": f"req_{request.number}"})
        if request.path.endswith("/models"):
            listed: JSONValue = [_listed(name) for name in self.models]
            return json_reply({"data": listed, "has_more": False, "first_id": None, "last_id": None})
        return json_reply(self.failure(Failure(status=404)), status=404)

    def failure(self, failure: Failure) -> JSONValue:
        kind, message = ERRORS.get(failure.status, ("api_error", "Internal server error"))
        if failure.kind == "context_length":
            message = "prompt is too long: 208310 tokens > 200000 maximum"
        elif failure.kind == "content_filter":
            message = "Output blocked by content filtering policy"
        error: JSONValue = {"type": kind, "message": failure.message or message}
        return {"type": "error", "error": error, "request_id": "req_0"}

    def failure_frame(self, failure: Failure) -> bytes:
        kind, message = ERRORS.get(failure.status, ("api_error", "Internal server error"))
        error: JSONValue = {"type": kind, "message": failure.message or message}
        return _event({"type": "error", "error": error}).data

    def broken_frame(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"te\n\n'


def _listed(name: str) -> JSONValue:
    return {"type": "model", "id": name, "display_name": name, "created_at": CREATED_AT}


def _stop_reason(answer: Answer) -> JSONValue:
    return answer.finish and STOP_REASONS.get(answer.finish, answer.finish)


def _usage(answer: Answer, *, output_tokens: int) -> dict[str, JSONValue]:
    """The usage field, or none of it if the answer reports none."""
    if answer.usage is None:
        return {}
    counts: JSONValue = {
        "input_tokens": answer.usage.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }
    return {"usage": counts}


@dataclass(frozen=True, slots=True)
class Block:
    """A content block: how it begins, the deltas it comes in and how it reads as a whole."""

    opening: Mapping[str, JSONValue]
    deltas: Sequence[Mapping[str, JSONValue]]
    whole: Mapping[str, JSONValue]


def _blocks(answer: Answer) -> Iterator[Block]:
    if answer.choices == 0:
        return
    if answer.thinking:
        yield _thinking_block(answer.thinking)
    if text := answer.refusal or answer.text:
        pieces = (answer.refusal,) if answer.refusal else answer.parts
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
        yield Block({"type": "text", "text": ""}, deltas, {"type": "text", "text": text})
    for call in answer.tool_calls:
        named: dict[str, JSONValue] = {"type": "tool_use", "id": call.id, "name": call.name}
        pieces = split_evenly(call.arguments, size=ARGUMENT_PIECE)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        yield Block({**named, "input": {}}, deltas, {**named, "input": json.loads(call.arguments)})


def _thinking_block(thinking: str) -> Block:
    deltas = [{"type": "thinking_delta", "thinking": thinking}, {"type": "signature_delta", "signature": "c2lnbmVk"}]
    opening = {"type": "thinking", "thinking": "", "signature": ""}
    return Block(opening, deltas, {"type": "thinking", "thinking": thinking, "signature": "c2lnbmVk"})


def _message(request: RecordedRequest, *, answer: Answer) -> dict[str, JSONValue]:
    return {
        "id": f"msg_{request.number}",
        "type": "message",
        "role": "assistant",
        "model": request.json["model"],
        **answer.extra,
    }


def _body(request: RecordedRequest, *, answer: Answer) -> JSONValue:
    return {
        **_message(request, answer=answer),
        "content": [block.whole for block in _blocks(answer)],
        "stop_reason": _stop_reason(answer),
        "stop_sequence": None,
        **_usage(answer, output_tokens=answer.usage.completion_tokens if answer.usage else 0),
    }


def _event(value: Mapping[str, JSONValue], *, role: Role = Role.START) -> Frame:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Frame(f"event: {value['type']}\ndata: {data}\n\n".encode(), role)


def _frames(request: RecordedRequest, *, answer: Answer) -> Iterator[Frame]:
    opening = {**_message(request, answer=answer), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event({"type": "message_start", "message": {**opening, **_usage(answer, output_tokens=1)}})
    yield _event({"type": "ping"})
    for index, block in enumerate(_blocks(answer)):
        yield _event({"type": "content_block_start", "index": index, "content_block": block.opening})
        for delta in block.deltas:
            yield _event({"type": "content_block_delta", "index": index, "delta": delta}, role=Role.CONTENT)
        yield _event({"type": "content_block_stop", "index": index})
    if answer.finish is not None:
        end: JSONValue = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        usage = _usage(answer, output_tokens=answer.usage.completion_tokens if answer.usage else 0)
        yield _event({"type": "message_delta", "delta": end, **usage}, role=Role.FINISH | Role.USAGE)
    if answer.done:
        yield _event({"type": "message_stop"}, role=Role.DONE)
