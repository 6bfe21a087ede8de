"""The messages of OpenAI's chat completions, and what they are to the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, Tag, model_validator

from app.models import Message, Part, TextPart, ToolCall
from app.routers.fields import BY_SHAPE, Unsupported, by
from app.routers.native import FileContent, ImageContent, Name, Strict, TextContent, to_part

CacheControl = dict[str, JsonValue]


class MarkedText(TextContent):
    """A text. Clients made for Anthropic mark where a cache is to begin, which does not bear on the answer."""

    cache_control: CacheControl | None = None


class MarkedImage(ImageContent):
    """An image, with the same mark."""

    cache_control: CacheControl | None = None


class MarkedFile(FileContent):
    """A file of text, with the same mark."""

    cache_control: CacheControl | None = None


class RefusalContent(Strict):
    """What an assistant said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


Text = Annotated[str, Tag("<text>")]
TextParts = Annotated[list[MarkedText], Field(min_length=1), Tag("<parts>")]
Texts = Annotated[Text | TextParts, BY_SHAPE]

UserPart = Annotated[
    Annotated[MarkedText, Tag("<text>")]
    | Annotated[MarkedImage, Tag("<image_url>")]
    | Annotated[MarkedFile, Tag("<file>")],
    by("type"),
]
UserContent = Annotated[Text | Annotated[list[UserPart], Field(min_length=1), Tag("<parts>")], BY_SHAPE]

AssistantPart = Annotated[
    Annotated[MarkedText, Tag("<text>")] | Annotated[RefusalContent, Tag("<refusal>")],
    by("type"),
]
AssistantContent = Annotated[Text | Annotated[list[AssistantPart], Field(min_length=1), Tag("<parts>")], BY_SHAPE]


class FunctionCalled(Strict):
    name: Name
    arguments: str


class ToolCalled(Strict):
    """A call that an assistant made. Some clients send the position back that streams carry."""

    id: Name
    type: Literal["function"] = "function"
    function: FunctionCalled
    index: int | None = None


class SystemMessage(Strict):
    role: Literal["system", "developer"]
    content: Texts
    name: Name | None = None

    def to_message(self) -> Message:
        return Message(role=self.role, parts=_parts(self.content), name=self.name)


class UserMessage(Strict):
    role: Literal["user"]
    content: UserContent
    name: Name | None = None

    def to_message(self) -> Message:
        return Message(role=self.role, parts=_parts(self.content), name=self.name)


class AssistantMessage(Strict):
    """An earlier answer. Clients send it back as they got it, so what only answers have is accepted and dropped."""

    role: Literal["assistant"]
    content: AssistantContent | None = None
    refusal: str | None = None
    name: Name | None = None
    tool_calls: list[ToolCalled] | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: Annotated[None, Unsupported("audio is not supported")] = None
    function_call: Annotated[None, Unsupported("it is deprecated, use tool_calls")] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.tool_calls and self.refusal is None:
            raise ValueError("an assistant's message has content, tool_calls or a refusal")
        return self

    def to_message(self) -> Message:
        parts = _parts(self.content) if self.content is not None else ()
        if self.refusal:
            parts = (*parts, TextPart(self.refusal))
        calls = tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in self.tool_calls or ()
        )
        return Message(role=self.role, parts=parts, name=self.name, tool_calls=calls)


class ToolMessage(Strict):
    """What a tool answered to the call of this id."""

    role: Literal["tool"]
    content: Texts
    tool_call_id: Name
    name: Name | None = None

    def to_message(self) -> Message:
        return Message(role=self.role, parts=_parts(self.content), name=self.name, tool_call_id=self.tool_call_id)


ChatMessage = Annotated[
    Annotated[SystemMessage, Tag("<system>")]
    | Annotated[SystemMessage, Tag("<developer>")]
    | Annotated[UserMessage, Tag("<user>")]
    | Annotated[AssistantMessage, Tag("<assistant>")]
    | Annotated[ToolMessage, Tag("<tool>")],
    by("role"),
]


def _parts(content: str | Sequence[TextContent | ImageContent | FileContent | RefusalContent]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    return tuple(TextPart(part.refusal) if isinstance(part, RefusalContent) else to_part(part) for part in content)
