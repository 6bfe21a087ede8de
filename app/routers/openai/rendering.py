"""The pipeline's events as OpenAI's chat completion, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from app.errors import SluiceError
from app.models import NO_DETAILS, Admitted, Citation, Delta, Event, Finished, Started, ToolCall, ToolCallDelta, Usage
from app.routers.native_replies import citation_replies, grounding_reply, route_reply
from app.routers.replies import Answer, error_body
from app.services.answer import is_text, join_tool_calls

DONE = b"data: [DONE]\n\n"
# The chunk that most chunks are: after the envelope nothing but text.
TEXT_CHUNK = b'%b,"choices":[{"index":%d,"delta":{"content":%b},"logprobs":null,"finish_reason":null}]}\n\n'


class CompletionSurface:
    """Writes one answer. A stream's chunks repeat what its first event said, so the surface remembers that.

    With `include_usage` each chunk has `usage: null` and a last one, without choices, has the tokens.
    """

    def __init__(self, *, include_usage: bool = False) -> None:
        self._include_usage = include_usage
        self._envelope: dict[str, Any] = {}
        self._head = b""
        self._begun: set[int] = set()
        self._started: Started | None = None

    def whole(self, answer: Answer) -> bytes:
        started, finished = answer.started, answer.finished
        deltas = answer.draft.deltas
        choices = [
            _choice(index, reason=reason, deltas=[delta for delta in deltas if delta.index == index], answer=answer)
            for index, reason in enumerate(finished.finish_reasons)
        ]
        body = _envelope(started, kind="chat.completion")
        return orjson.dumps(
            {**body, "choices": choices, "usage": _usage(finished.usage), "sluice": _sluice(started, finished)}
        )

    def piece(self, event: Event) -> bytes:
        match event:
            case Admitted():
                return b""
            case Started():
                self._started = event
                self._envelope = _envelope(event, kind="chat.completion.chunk")
                if self._include_usage:
                    self._envelope["usage"] = None
                self._head = b"data: " + orjson.dumps(self._envelope).removesuffix(b"}")
                return b""
            case Delta():
                if event.content and is_text(event) and event.index in self._begun:
                    return TEXT_CHUNK % (self._head, event.index, orjson.dumps(event.content))
                return b"".join(map(_event, self._pieces(event)))
            case Finished():
                return b"".join(map(_event, self._last_chunks(event)))

    def failure(self, error: SluiceError) -> bytes:
        """An error object at the top level, which OpenAI's own clients raise."""
        return _event(error_body(error))

    def end(self) -> bytes:
        return DONE

    def _pieces(self, delta: Delta) -> Iterator[Mapping[str, Any]]:
        """The chunks for a delta; one without content is only a sign of life."""
        written = _delta(delta)
        if not written and delta.logprobs is None:
            return
        yield from self._begin(delta.index, content=None if delta.tool_calls and not delta.content else "")
        yield self._chunk(delta.index, delta=written, logprobs=delta.logprobs)

    def _begin(self, index: int, *, content: str | None) -> Iterator[Mapping[str, Any]]:
        if index not in self._begun:
            self._begun.add(index)
            yield self._chunk(index, delta={"role": "assistant", "content": content, "refusal": None})

    def _last_chunks(self, finished: Finished) -> Iterator[Mapping[str, Any]]:
        """What ends each choice, with the citations before and the route beside the last; then the usage."""
        last = len(finished.finish_reasons) - 1
        for index, reason in enumerate(finished.finish_reasons):
            yield from self._begin(index, content="")
            if finished.citations:
                yield self._chunk(index, delta={"annotations": _annotations(finished.citations, length=0)})
            chunk = self._chunk(index, delta={}, reason=reason)
            yield {**chunk, "sluice": self._explanation(finished)} if index == last else chunk
        if self._include_usage:
            yield {**self._envelope, "choices": [], "usage": _usage(finished.usage)}

    def _chunk(
        self, index: int, *, delta: Mapping[str, Any], reason: str | None = None, logprobs: object = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return {**self._envelope, "choices": [choice]}

    def _explanation(self, finished: Finished) -> dict[str, Any]:
        if self._started is None:
            raise SluiceError  # the pipeline's first event is always `Started`
        return _sluice(self._started, finished)


def _envelope(started: Started, *, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{started.id}",
        "object": kind,
        "created": int(started.created.timestamp()),
        "model": started.model,
        "system_fingerprint": None,
    }


def _choice(index: int, *, reason: str, deltas: Sequence[Delta], answer: Answer) -> dict[str, Any]:
    content = "".join(delta.content for delta in deltas)
    refusal = "".join(delta.refusal for delta in deltas)
    calls = join_tool_calls(deltas)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if not content and (calls or refusal) else content,
        "refusal": refusal or None,
        "annotations": _annotations(answer.finished.citations, length=len(content)),
    }
    if calls:
        message["tool_calls"] = [_tool_call(call) for call in calls]
    return {"index": index, "message": message, "logprobs": _logprobs(deltas), "finish_reason": reason}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _delta(delta: Delta) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if delta.content:
        written["content"] = delta.content
    if delta.refusal:
        written["refusal"] = delta.refusal
    if delta.tool_calls:
        written["tool_calls"] = [_tool_call_piece(piece) for piece in delta.tool_calls]
    return written


def _tool_call_piece(piece: ToolCallDelta) -> dict[str, Any]:
    """The first piece of a call has its id and name, the others only more of the arguments."""
    if piece.id is None and piece.name is None:
        return {"index": piece.position, "function": {"arguments": piece.arguments}}
    function = {"name": piece.name, "arguments": piece.arguments}
    return {"index": piece.position, "id": piece.id, "type": "function", "function": function}


def _logprobs(deltas: Sequence[Delta]) -> dict[str, Any] | None:
    """The pieces' log probabilities joined: lists of tokens, of the content and of a refusal."""
    given = [delta.logprobs for delta in deltas if isinstance(delta.logprobs, dict)]
    if not given:
        return None
    return {
        part: [token for logprobs in given for token in logprobs.get(part) or ()]
        if any(logprobs.get(part) is not None for logprobs in given)
        else None
        for part in ("content", "refusal")
    }


def _annotations(citations: Sequence[Citation], *, length: int) -> list[dict[str, Any]]:
    """Citations in the one form that OpenAI's chat completions have, with the file citation of its responses beside it.

    The address is where the gateway has the document; the whole answer draws on it, unless its end is not known yet.
    """
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": f"/documents/{quote(citation.document_id, safe='')}",
                "title": citation.title,
                "start_index": 0,
                "end_index": length,
            },
            "file_citation": {"file_id": citation.document_id, "filename": citation.title, "index": index},
        }
        for index, citation in enumerate(citations)
    ]


def _usage(usage: Usage) -> dict[str, Any]:
    """The tokens, and what the provider told of their kinds, if it told anything."""
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    details = usage.details
    if details == NO_DETAILS:
        return counts
    return {
        **counts,
        "prompt_tokens_details": {"cached_tokens": details.cached, "audio_tokens": details.audio},
        "completion_tokens_details": {"reasoning_tokens": details.reasoning, "audio_tokens": details.spoken},
    }


def _sluice(started: Started, finished: Finished) -> dict[str, Any]:
    """What OpenAI's format has no place for."""
    return {
        "sensitivity": started.route.label.word,
        "complexity": started.route.complexity,
        "session_id": started.session_id,
        "cached": finished.cached,
        "cost": finished.cost,
        "usage_estimated": finished.usage.estimated,
        "citations": citation_replies(finished.citations),
        "grounding": grounding_reply(finished.grounding),
        "route": route_reply(finished.route),
    }


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
