"""What the OpenAPI document says of the answers on OpenAI's surface; the answers themselves are written elsewhere."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from app.models import FinishReason
from app.routers.native import CitationReply
from app.routers.schemas import EVENT, GroundingReply, RouteReply


class PromptTokenDetails(BaseModel):
    cached_tokens: int
    audio_tokens: int


class CompletionTokenDetails(BaseModel):
    reasoning_tokens: int
    audio_tokens: int


class TokenUsage(BaseModel):
    """The details are there where the model's server tells kinds of tokens apart."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokenDetails | None = None
    completion_tokens_details: CompletionTokenDetails | None = None


class URLCitation(BaseModel):
    url: str
    title: str
    start_index: int
    end_index: int


class FileCitation(BaseModel):
    file_id: str
    filename: str
    index: int


class Annotation(BaseModel):
    """A document that the answer draws on. The `type` is the only one that OpenAI's chat completions have."""

    type: Literal["url_citation"]
    url_citation: URLCitation
    file_citation: FileCitation


class FunctionCall(BaseModel):
    name: str
    arguments: str


class ToolCall(BaseModel):
    id: str
    type: Literal["function"]
    function: FunctionCall


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    annotations: list[Annotation]
    tool_calls: list[ToolCall] | None = None


class Choice(BaseModel):
    index: int
    message: AnswerMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class Explanation(BaseModel):
    """What OpenAI's format has no place for. `cost` is in US dollars, null if the model's price is unknown."""

    sensitivity: Literal["public", "internal", "confidential"]
    complexity: Literal["simple", "moderate", "complex"]
    session_id: str | None
    cached: bool
    cost: float | None
    usage_estimated: bool
    citations: list[CitationReply]
    grounding: GroundingReply
    route: RouteReply


class CompletionReply(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: None
    choices: list[Choice]
    usage: TokenUsage
    sluice: Explanation


class EmbeddingReply(BaseModel):
    """`embedding` is a list of numbers, or little-endian 32-bit floats in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    object: Literal["list"]
    data: list[EmbeddingReply]
    model: str
    usage: EmbeddingUsage


class ModelReply(BaseModel):
    """`created` is not known and 0; `available` says whether the model can be called now."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    available: bool


class ModelsReply(BaseModel):
    object: Literal["list"]
    data: list[ModelReply]


STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": CompletionReply,
        "description": "The completion, or with `stream` its chunks as server-sent events and `[DONE]` after the last.",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}
