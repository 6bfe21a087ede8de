"""Ollama's own API: chat, embeddings, tags, show and version.

Source: https://docs.ollama.com/api and the `omitempty` marks of its `api/types.go`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.models import JSONValue
from tests.support.answer import Answer, Failure
from tests.support.dialects.vectors import DIMENSIONS, embed
from tests.support.http import RecordedRequest
from tests.support.steps import Frame, Role, Steps, json_reply, plain_reply, stream_reply

CREATED_AT = "2026-01-01T00:00:00.000000001Z"
MILLISECOND = 1_000_000

ERRORS: Mapping[int, str] = {
    400: "missing request body",
    401: "unauthorized",
    404: "model not found",
    429: "you have reached your usage limit, please try again later",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """A pulled model. One with `remote_host` runs elsewhere although it is listed here."""

    name: str
    context_length: int = 8192
    capabilities: Sequence[str] = ("completion", "tools")
    remote_host: str | None = None
    remote_model: str | None = None

    @property
    def remote(self) -> dict[str, JSONValue]:
        both = {"remote_model": self.remote_model, "remote_host": self.remote_host}
        return {key: value for key, value in both.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaDialect:
    """Answers for the models it has pulled and, like Ollama, 404 for any other; no tag means `:latest`."""

    models: Sequence[OllamaModel] = (
        OllamaModel(name="llama3:latest"),
        OllamaModel(name="qwen3:8b", context_length=40_960, capabilities=("completion", "tools", "thinking")),
        OllamaModel(name="nomic-embed-text:latest", context_length=2048, capabilities=("embedding",)),
    )
    version: str = "0.13.0"
    dimensions: int = DIMENSIONS

    def generates(self, request: RecordedRequest) -> bool:
        return request.path == "/api/chat"

    def streams(self, request: RecordedRequest) -> bool:
        return self.generates(request) and request.json.get("stream") is not False

    def reply(self, request: RecordedRequest, *, answer: Answer) -> Steps:
        match request.path:
            case "/":
                return plain_reply(b"Ollama is running", content_type="text/plain; charset=utf-8")
            case "/api/version":
                return json_reply({"version": self.version})
            case "/api/tags":
                return json_reply({"models": [_listed(model) for model in self.models]})
            case "/api/chat" | "/api/embed" | "/api/show":
                return self._reply_for_model(request, answer=answer)
        return plain_reply(b"404 page not found", content_type="text/plain", status=404)

    def failure(self, failure: Failure) -> JSONValue:
        if failure.kind == "context_length":
            return {"error": failure.message or "the input length exceeds the context length"}
        if failure.kind == "content_filter":
            return {"error": failure.message or "the prompt was refused by policy"}
        return {"error": failure.message or ERRORS.get(failure.status, "something went wrong")}

    def failure_frame(self, failure: Failure) -> bytes:
        return _line(self.failure(failure)).data

    def broken_frame(self) -> bytes:
        return b'{"model":"llama3","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","con\n'

    def _reply_for_model(self, request: RecordedRequest, *, answer: Answer) -> Steps:
        name = request.json.get("model", "")
        model = self._pulled(name)
        if model is None:
            return json_reply({"error": f"model '{name}' not found"}, status=404)
        if request.path == "/api/show":
            return json_reply(_shown(model))
        if request.path == "/api/embed":
            return json_reply(_embeddings(request, dimensions=self.dimensions))
        if self.streams(request):
            return stream_reply(list(_frames(request, answer=answer)), content_type="application/x-ndjson")
        return json_reply(_chat(request, answer=answer))

    def _pulled(self, name: str) -> OllamaModel | None:
        tagged = name if ":" in name else f"{name}:latest"
        return next((model for model in self.models if model.name == tagged), None)


# Chat


def _line(value: JSONValue, *, role: Role = Role.CONTENT) -> Frame:
    return Frame(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n", role)


def _envelope(request: RecordedRequest, *, answer: Answer) -> dict[str, JSONValue]:
    return {"model": request.json["model"], "created_at": CREATED_AT, **answer.extra}


def _closing(answer: Answer) -> dict[str, JSONValue]:
    """The fields of the last frame. Ollama has no finish reason for tool calls but `stop`."""
    reason = "stop" if answer.finish == "tool_calls" else answer.finish
    closing: dict[str, JSONValue] = {"done": answer.done and reason is not None}
    if reason is not None:
        closing["done_reason"] = reason
    closing |= {"total_duration": 9 * MILLISECOND, "load_duration": MILLISECOND}
    if answer.usage is not None:
        closing |= {
            "prompt_eval_count": answer.usage.prompt_tokens,
            "prompt_eval_duration": 3 * MILLISECOND,
            "eval_count": answer.usage.completion_tokens,
            "eval_duration": 5 * MILLISECOND,
        }
    return closing


def _tool_calls(answer: Answer) -> JSONValue:
    return [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": json.loads(call.arguments)}}
        for index, call in enumerate(answer.tool_calls)
    ]


def _chat(request: RecordedRequest, *, answer: Answer) -> JSONValue:
    body = _envelope(request, answer=answer)
    if answer.choices != 0:
        message: dict[str, JSONValue] = {"role": "assistant", "content": answer.refusal or answer.text}
        message |= {"thinking": answer.thinking} if answer.thinking else {}
        message |= {"tool_calls": _tool_calls(answer)} if answer.tool_calls else {}
        body["message"] = message
    return {**body, **_closing(answer)}


def _frames(request: RecordedRequest, *, answer: Answer) -> Iterator[Frame]:
    """One line for each piece, then one that is the finish, the usage and the end mark together."""
    envelope = _envelope(request, answer=answer)
    for message in _messages(answer):
        yield _line({**envelope, "message": {"role": "assistant", **message}, "done": False})
    if answer.done and answer.finish is not None:
        nothing: JSONValue = {"role": "assistant", "content": ""}
        message_field: Mapping[str, JSONValue] = {} if answer.choices == 0 else {"message": nothing}
        yield _line({**envelope, **message_field, **_closing(answer)}, role=Role.FINISH | Role.USAGE | Role.DONE)


def _messages(answer: Answer) -> Iterator[dict[str, JSONValue]]:
    if answer.choices == 0:
        return
    for piece in answer.thinking.splitlines(keepends=True):
        yield {"content": "", "thinking": piece}
    for piece in (answer.refusal,) if answer.refusal else answer.parts:
        yield {"content": piece}
    if answer.tool_calls:
        yield {"content": "", "tool_calls": _tool_calls(answer)}


# Models and embeddings


def _details(model: OllamaModel) -> JSONValue:
    return {
        "parent_model": "",
        "format": "" if model.remote else "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "8.0B",
        "quantization_level": "Q4_0",
    }


def _listed(model: OllamaModel) -> JSONValue:
    return {
        "name": model.name,
        "model": model.name,
        **model.remote,
        "modified_at": CREATED_AT,
        "size": 4_661_224_676,
        "digest": "0" * 64,
        "details": _details(model),
    }


def _shown(model: OllamaModel) -> JSONValue:
    return {
        "modelfile": f"FROM {model.name}",
        "parameters": 'stop "<|eot_id|>"',
        "template": "{{ .Prompt }}",
        "details": _details(model),
        **model.remote,
        "model_info": {
            "general.architecture": "llama",
            "general.parameter_count": 8_030_261_248,
            "llama.context_length": model.context_length,
            "llama.embedding_length": 4096,
        },
        "capabilities": list(model.capabilities),
        "modified_at": CREATED_AT,
    }


def _embeddings(request: RecordedRequest, *, dimensions: int) -> JSONValue:
    given = request.json["input"]
    texts: list[str] = [given] if isinstance(given, str) else given
    return {
        "model": request.json["model"],
        "embeddings": [embed(text, dimensions=request.json.get("dimensions") or dimensions) for text in texts],
        "total_duration": 9 * MILLISECOND,
        "load_duration": MILLISECOND,
        "prompt_eval_count": sum(len(text.split()) for text in texts),
    }
