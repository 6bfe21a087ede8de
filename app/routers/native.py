"""The native wire format: what `/chat` reads and writes, as pydantic models and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.json_schema import WithJsonSchema

from app.errors import SluiceError
from app.models import (
    Admitted,
    CacheUse,
    ChatRequest,
    Citation,
    Complexity,
    Delta,
    Event,
    Finished,
    ImagePart,
    Label,
    Message,
    Part,
    RetrievalScope,
    Route,
    Sampling,
    Started,
    TextPart,
    Usage,
)
from app.routers.replies import Answer, error_body
from app.routers.schemas import RouteReply

LONGEST_MESSAGE = 1_000_000
IMAGE_URLS = r"^(https://|data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$)"


def _parse_label(value: object) -> object:
    return Label.parse(value) if isinstance(value, str) else value


LabelWord = Annotated[
    Label,
    BeforeValidator(_parse_label),
    PlainSerializer(lambda label: label.word),
    WithJsonSchema({"type": "string", "enum": [label.word for label in Label]}),
]

# Names that become parts of keys, paths and metrics.
Name = Annotated[str, Field(min_length=1, max_length=512)]


class Strict(BaseModel):
    """A body that refuses fields it does not know and types it does not expect."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextContent(Strict):
    type: Literal["text"]
    text: str


class ImageURL(Strict):
    url: Annotated[str, Field(pattern=IMAGE_URLS)]
    detail: Literal["auto", "low", "high"] | None = None


class ImageContent(Strict):
    type: Literal["image_url"]
    image_url: ImageURL


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]


class ChatMessage(Strict):
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=LONGEST_MESSAGE)] | Annotated[list[Content], Field(min_length=1)]

    def to_message(self) -> Message:
        if isinstance(self.content, str):
            return Message.of(self.role, self.content)
        return Message(role=self.role, parts=tuple(_part(content) for content in self.content))


def _part(content: TextContent | ImageContent) -> Part:
    if isinstance(content, TextContent):
        return TextPart(content.text)
    return ImagePart(url=content.image_url.url, detail=content.image_url.detail)


class DocumentsBody(Strict):
    """Which documents an answer may draw on."""

    collection: Name = "default"
    limit: Annotated[int, Field(ge=1, le=20)] = 5
    filter: dict[str, dict[str, Any]] | None = None

    def to_scope(self) -> RetrievalScope:
        return RetrievalScope(collection=self.collection, limit=self.limit, filter=self.filter)


class CacheBody(Strict):
    """What the cache may do with this request; `ttl` is in seconds, `semantic` allows for other wordings."""

    read: bool = True
    write: bool = True
    ttl: Annotated[int, Field(ge=0, le=30 * 24 * 3600)] | None = None
    semantic: bool = False


class ChatBody(Strict):
    """A chat request: one `message` (or its alias `content`), or `messages`."""

    message: Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE)] | None = None
    content: Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE)] | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    sensitivity: LabelWord | None = None
    complexity: Annotated[Complexity, Field(strict=False)] | None = None
    model: Name = "auto"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    stream: bool = False
    session_id: Name | None = None
    user_id: Name | None = None
    documents: bool | DocumentsBody = True
    cache: bool | CacheBody = True

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        given = [field for field in (self.message, self.content, self.messages) if field is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of message, content and messages")
        return self

    def to_request(self, *, stream: bool, stated: Label | None) -> ChatRequest:
        """The request as the pipeline takes it; `stated` is a label from a header, which is joined."""
        labels = [label for label in (self.sensitivity, stated) if label is not None]
        return ChatRequest(
            messages=self._messages(),
            model=self.model,
            sampling=Sampling(temperature=self.temperature, max_tokens=self.max_tokens),
            sensitivity=max(labels) if labels else None,
            complexity=self.complexity,
            stream=stream,
            session_id=self.session_id,
            user_id=self.user_id,
            documents=scope_of(self.documents),
            cache=cache_use(self.cache, asked="cache" in self.model_fields_set),
        )

    def _messages(self) -> tuple[Message, ...]:
        if self.messages is not None:
            return tuple(message.to_message() for message in self.messages)
        return (Message.of("user", self.message or self.content or ""),)


def scope_of(documents: bool | DocumentsBody) -> RetrievalScope | None:
    if isinstance(documents, bool):
        return RetrievalScope() if documents else None
    return documents.to_scope()


def cache_use(cache: bool | CacheBody, *, asked: bool) -> CacheUse:
    """`asked` says that the caller named the cache, rather than left it to its default."""
    if isinstance(cache, bool):
        return CacheUse(read=cache, write=cache, asked=asked)
    return CacheUse(read=cache.read, write=cache.write, ttl=cache.ttl, semantic=cache.semantic, asked=asked)


class UsageReply(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool


class CitationReply(BaseModel):
    document_id: str
    title: str
    content: str
    score: float


class ChatReply(BaseModel):
    """A whole answer. `cost` is in US dollars, null if the model's price is unknown."""

    id: str
    message: str
    model_used: str
    tokens_used: int
    cost: float | None
    cached: bool
    sensitivity: str
    complexity: str
    session_id: str | None
    timestamp: str
    finish_reason: str
    usage: UsageReply
    citations: list[CitationReply]
    route: RouteReply


class NativeSurface:
    """Writes answers as `/chat` and `/chat/stream` do."""

    def whole(self, answer: Answer) -> bytes:
        started, finished = answer.started, answer.finished
        return orjson.dumps(
            {
                "id": started.id,
                "message": answer.draft.choices[0].text,
                "model_used": started.model,
                "tokens_used": finished.usage.total_tokens,
                "cost": finished.cost,
                "cached": finished.cached,
                "sensitivity": started.route.label.word,
                "complexity": started.route.complexity,
                "session_id": started.session_id,
                "timestamp": started.created.isoformat(),
                "finish_reason": finished.finish_reasons[0],
                "usage": usage_reply(finished.usage),
                "citations": citation_replies(finished.citations),
                "route": route_reply(started.route),
            }
        )

    def piece(self, event: Event) -> bytes:
        written = event_reply(event)
        return _sse(written) if written is not None else b""

    def failure(self, error: SluiceError) -> bytes:
        return _sse(error_body(error))

    def end(self) -> bytes:
        return b"data: [DONE]\n\n"


def event_reply(event: Event) -> dict[str, Any] | None:
    """What a stream or a socket says of an event; `None` for one that has nothing to say."""
    match event:
        case Admitted():
            return None
        case Started():
            return {"model": event.model, "id": event.id, "route": route_reply(event.route)}
        case Delta():
            return {"content": event.content} if event.content else None
        case Finished():
            return _done(event)


def _done(finished: Finished) -> dict[str, Any]:
    return {
        "done": True,
        "usage": usage_reply(finished.usage),
        "cost": finished.cost,
        "cached": finished.cached,
        "citations": citation_replies(finished.citations),
        "finish_reason": finished.finish_reasons[0],
    }


def _sse(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def usage_reply(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "estimated": usage.estimated,
    }


def citation_replies(citations: tuple[Citation, ...]) -> list[dict[str, Any]]:
    return [
        {
            "document_id": citation.document_id,
            "title": citation.title,
            "content": citation.content,
            "score": round(citation.score, 4),
        }
        for citation in citations
    ]


def route_reply(route: Route) -> dict[str, Any]:
    """The explanation of a route: names, numbers and positions, never text."""
    return {
        "label": route.label.word,
        "raised_by": [
            {"detector": finding.detector, "where": finding.where, "count": finding.count}
            for finding in route.raised_by
        ],
        "rule": route.rule,
        "candidates": [{"model": candidate.model, "dropped": candidate.dropped} for candidate in route.candidates],
        "attempts": [{"model": attempt.model, "outcome": attempt.outcome} for attempt in route.attempts],
        "cache": route.cache,
    }
