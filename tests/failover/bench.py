"""A gateway between two model servers, the first of which misbehaves, and what came of one request to it."""

from __future__ import annotations

import enum
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.answer import ORDINARY, USAGE, Answer, Dialect
from tests.support.behaviours import Script
from tests.support.dialects import AnthropicDialect, OllamaDialect, OpenAIDialect
from tests.support.service import Service, running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream

SPARE_TEXT = "The spare model answers."
SPARE = "openrouter/spare-model"
QUESTION = "At what temperature does water boil?"

# Short, because the tests wait for them; long beside what a loopback connection takes on a busy machine.
TIME_OUTS = {"timeout_first_token": 1.5, "timeout_first_token_local": 1.5, "timeout_between_tokens": 1.5}


class Protocol(enum.StrEnum):
    """How the first model is spoken to; `litellm` stands for Anthropic's protocol by way of that library."""

    OPENAI = "OpenAI-compatible"
    OLLAMA = "Ollama"
    LITELLM = "Anthropic by litellm"


MODELS: Mapping[Protocol, str] = {
    Protocol.OPENAI: "openai/first-model",
    Protocol.OLLAMA: "ollama/llama3:latest",
    Protocol.LITELLM: "anthropic/claude-sonnet-4-5",
}
DIALECTS: Mapping[Protocol, type[Dialect]] = {
    Protocol.OPENAI: OpenAIDialect,
    Protocol.OLLAMA: OllamaDialect,
    Protocol.LITELLM: AnthropicDialect,
}


class Mode(enum.StrEnum):
    """How the client asks: for JSON or a stream, of the first model alone or with another one to fall back to."""

    ALONE_JSON = "alone, JSON"
    ALONE_STREAM = "alone, stream"
    SPARE_JSON = "with a spare, JSON"
    SPARE_STREAM = "with a spare, stream"

    @property
    def streams(self) -> bool:
        return self in (Mode.ALONE_STREAM, Mode.SPARE_STREAM)

    @property
    def alone(self) -> bool:
        return self in (Mode.ALONE_JSON, Mode.ALONE_STREAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a client got: `code` is that of the error, if there was one; `began` that content came before it."""

    status: int
    text: str = ""
    model: str | None = None
    code: str | None = None
    began: bool = False
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    retry_after: str | None = None
    calls: int = 0
    spare_calls: int = 0

    @property
    def words(self) -> str:
        """As the table in docs/failures.md puts it."""
        what = f"error event `{self.code}`" if self.began else f"{self.status} `{self.code}`"
        if self.code is None:
            what = "answer" if self.spare_calls == 0 else "fallback"
        elif self.spare_calls:
            what = f"{what} in spite of the spare"
        return f"{what} after a retry" if self.calls > 1 else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`first` is the server of the model that is asked first, `spare` that of the model after it."""

    service: Service
    first: ScriptedUpstream
    spare: ScriptedUpstream
    model: str

    async def ask(self, script: Script, *, mode: Mode, **fields: Any) -> Outcome:
        """One request while the first server follows the script. A model that is asked alone is a stated one."""
        self.first.script = script
        self.first.forget()
        self.spare.forget()
        body = {"cache": False, "documents": False, **(fields or {"message": QUESTION})}
        body |= {"model": self.model} if mode.alone else {}
        got = await (self._stream(body) if mode.streams else self._whole(body))
        await self._recover()
        return got

    async def _recover(self) -> None:
        """Close the breaker again: a good answer does."""
        self.first.script = ORDINARY
        body = {"message": QUESTION, "cache": False, "documents": False, "model": self.model}
        async with self.service.client.post("/chat", json=body) as response:
            assert response.status in (200, 504), await response.text()

    async def _whole(self, body: Mapping[str, Any]) -> Outcome:
        async with self.service.client.post("/chat", json=body) as response:
            answer = await response.json()
            if response.status != 200:
                return self._failed(response.status, answer, retry_after=response.headers.get("retry-after"))
            return Outcome(
                status=200,
                text=answer["message"],
                model=answer["model_used"],
                finish_reason=answer["finish_reason"],
                usage=answer["usage"],
                calls=len(self.first.completions),
                spare_calls=len(self.spare.completions),
            )

    async def _stream(self, body: Mapping[str, Any]) -> Outcome:
        async with self.service.client.post("/chat/stream", json=body) as response:
            if response.status != 200:
                return self._failed(
                    response.status, await response.json(), retry_after=response.headers.get("retry-after")
                )
            data = [event.data async for event in sse(response)]
        events = [json.loads(item) for item in data if item != "[DONE]"]
        text = "".join(event["content"] for event in events if "content" in event)
        if "error" in events[-1]:
            assert "[DONE]" not in data
            return self._failed(200, events[-1], text=text)
        assert data[-1] == "[DONE]"
        done = events[-1]
        return Outcome(
            status=200,
            text=text,
            model=events[0]["model"],
            finish_reason=done["finish_reason"],
            usage=done["usage"],
            calls=len(self.first.completions),
            spare_calls=len(self.spare.completions),
        )

    def _failed(self, status: int, answer: Any, *, text: str = "", retry_after: str | None = None) -> Outcome:
        assert set(answer["error"]) == {"message", "type", "param", "code"}
        return Outcome(
            status=status,
            text=text,
            code=answer["error"]["code"],
            began=status == 200,
            retry_after=retry_after,
            calls=len(self.first.completions),
            spare_calls=len(self.spare.completions),
        )


@asynccontextmanager
async def open_bench(directory: Path, *, protocol: Protocol, **overrides: Any) -> AsyncIterator[Bench]:
    """A gateway with its two servers; `overrides` are settings by their lower-case names."""
    model = MODELS[protocol]
    async with (
        ScriptedUpstream(DIALECTS[protocol]()) as first,
        ScriptedUpstream(OpenAIDialect(), script=Answer(SPARE_TEXT, usage=USAGE)) as spare,
        running(directory, **{**_settings(protocol, first=first, spare=spare), **overrides}) as service,
    ):
        yield Bench(service=service, first=first, spare=spare, model=model)


def _settings(protocol: Protocol, *, first: ScriptedUpstream, spare: ScriptedUpstream) -> dict[str, Any]:
    key = secrets.token_hex(16)
    own: Mapping[Protocol, dict[str, Any]] = {
        Protocol.OPENAI: {"openai_base_url": f"{first.origin}/v1", "openai_api_key": key},
        Protocol.OLLAMA: {"ollama_base_url": first.origin},
        Protocol.LITELLM: {"anthropic_base_url": first.origin, "anthropic_api_key": key},
    }
    models = (MODELS[protocol], SPARE)
    return {
        "vector_store": "memory",
        "openrouter_base_url": f"{spare.origin}/v1",
        "openrouter_api_key": key,
        "model_simple": models,
        "model_moderate": models,
        "model_complex": models,
        **own[protocol],
        **TIME_OUTS,
    }
