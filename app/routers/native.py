"""The native wire format: what `/chat` reads and writes, as pydantic models and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Tag,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

from app.errors import SluiceError
from app.models import (
    Admitted,
    CacheUse,
    ChatRequest,
    Complexity,
    Delta,
    Event,
    Finished,
    ImagePart,
    Label,
    Message,
    Part,
    RetrievalScope,
    Sampling,
    Started,
    TextPart,
)
from app.routers.attachments import check_image, is_text, read_text
from app.routers.fields import BY_SHAPE, by
from app.routers.native_replies import citation_replies, grounding_reply, route_reply, usage_reply
from app.routers.replies import Answer, error_body
from app.routers.schemas import GroundingReply, RouteReply, UsageReply

LONGEST_MESSAGE = 1_000_000


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
    """An image. Some clients send text files this way too, which are taken as text."""

    url: Annotated[str, AfterValidator(check_image)]
    detail: Literal["auto", "low", "high"] | None = None


class ImageContent(Strict):
    type: Literal["image_url"]
    image_url: ImageURL


class FileData(Strict):
    """A file of text as a `data:` URL."""

    file_data: Annotated[str, AfterValidator(read_text)]
    filename: Name | None = None


class FileContent(Strict):
    type: Literal["file"]
    file: FileData


Content = Annotated[
    Annotated[TextContent, Tag("<text>")]
    | Annotated[ImageContent, Tag("<image_url>")]
    | Annotated[FileContent, Tag("<file>")],
    by("type"),
]


class ChatMessage(Strict):
    role: Literal["system", "user", "assistant"]
    content: Annotated[
        Annotated[str, Field(max_length=LONGEST_MESSAGE), Tag("<text>")]
        | Annotated[list[Content], Field(min_length=1), Tag("<parts>")],
        BY_SHAPE,
    ]

    def to_message(self) -> Message:
        if isinstance(self.content, str):
            return Message.of(self.role, self.content)
        return Message(role=self.role, parts=tuple(to_part(content) for content in self.content))


def to_part(content: TextContent | ImageContent | FileContent) -> Part:
    """A part as the pipeline takes it: whatever holds text is text."""
    match content:
        case TextContent(text=text):
            return TextPart(text)
        case FileContent(file=file):
            return TextPart(f"{file.filename}\n{file.file_data}" if file.filename else file.file_data)
        case ImageContent(image_url=image):
            if is_text(image.url):
                return TextPart(read_text(image.url))
            return ImagePart(url=image.url, detail=image.detail)


class DocumentsBody(Strict):
    """Which documents an answer may draw on."""

    collection: Name = "default"
    limit: Annotated[int, Field(ge=1, le=20)] = 5
    filter: dict[str, dict[str, Any]] | None = None

    def to_scope(self) -> RetrievalScope:
        return RetrievalScope(collection=self.collection, limit=self.limit, filter=self.filter)


class CacheBody(Strict):
    """What the cache may do with this request; `ttl` is in seconds, `semantic` allows for other wordings.

    Without `semantic` the key decides.
    """

    read: bool = True
    write: bool = True
    ttl: Annotated[int, Field(ge=0, le=30 * 24 * 3600)] | None = None
    semantic: bool | None = None


class ChatBody(Strict):
    """A chat request: one `message` (or its alias `content`), or `messages`.

    In a session `parent_id` is the message that the new ones follow (`root` for none), which opens a branch where
    others do so already; `regenerate`, in place of a message, is an answer that is to be given anew.
    """

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
    parent_id: Name | None = None
    regenerate: Name | None = None
    user_id: Name | None = None
    documents: bool | DocumentsBody = True
    cache: bool | CacheBody = True

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        given = [field for field in (self.message, self.content, self.messages, self.regenerate) if field is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of message, content, messages and, in a session, regenerate")
        if self.regenerate is not None and self.parent_id is not None:
            raise ValueError("regenerate says which message is answered anew; parent_id is for new messages")
        return self

    def to_request(self, *, stream: bool, stated: Label | None) -> ChatRequest:
        """The request as the pipeline takes it; `stated` is a label from a header, which is joined."""
        labels = [label for label in (self.sensitivity, stated) if label is not None]
        use = cache_use(self.cache, asked="cache" in self.model_fields_set)
        return ChatRequest(
            messages=self._messages(),
            model=self.model,
            sampling=Sampling(temperature=self.temperature, max_tokens=self.max_tokens),
            sensitivity=max(labels) if labels else None,
            complexity=self.complexity,
            stream=stream,
            session_id=self.session_id,
            parent_id=self.parent_id,
            regenerate=self.regenerate,
            user_id=self.user_id,
            documents=scope_of(self.documents),
            # The kept answer is the one that is not wanted any more.
            cache=use if self.regenerate is None else replace(use, read=False),
        )

    def _messages(self) -> tuple[Message, ...]:
        if self.regenerate is not None:
            return ()
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


class CitationReply(BaseModel):
    """A passage the answer draws on; `start` and `end` are of `quote` in the document's text, or of the passage.

    `passage` is for `GET /documents/{document_id}/text`, which shows it at its place.
    """

    number: int
    document_id: str
    version: str
    title: str
    content: str
    score: float
    collection: str
    passage: str
    quote: str | None
    page: int | None
    start: int
    end: int
    supported: bool


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
    grounding: GroundingReply
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
                "grounding": grounding_reply(finished.grounding),
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
        "grounding": grounding_reply(finished.grounding),
        "finish_reason": finished.finish_reasons[0],
    }


def _sse(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
