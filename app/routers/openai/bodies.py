"""OpenAI's request for a chat completion: every documented field, read or refused by name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, Tag, model_validator

from app.models import CacheUse, ChatRequest, Complexity, JSONValue, RetrievalScope, Sampling, Tooling
from app.routers.fields import BY_SHAPE, Unsupported, by
from app.routers.native import Name, Strict, cache_use, scope_of
from app.routers.openai.messages import ChatMessage
from app.routers.openai.options import HeaderOptions, SluiceOptions

AUTO = "auto"
DOCUMENTS = "documents"

# What most requests say of these: nothing.
AS_THE_MODEL_DOES = Sampling()
NO_TOOLING = Tooling()

Identifier = Annotated[str, Field(max_length=512)]
Schema = dict[str, JsonValue]
# What a seed may be in most servers' own types.
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]

Stop = Annotated[Annotated[str, Tag("<text>")] | Annotated[list[str], Field(max_length=4), Tag("<parts>")], BY_SHAPE]


class FunctionDefinition(Strict):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class FunctionTool(Strict):
    type: Literal["function"]
    function: FunctionDefinition


# Tools of other types (custom, hosted) are refused by their type.
Tool = Annotated[Annotated[FunctionTool, Tag("<function>")], by("type")]


class FunctionName(Strict):
    name: Name


class NamedTool(Strict):
    type: Literal["function"]
    function: FunctionName


class TextFormat(Strict):
    type: Literal["text"]


class JSONFormat(Strict):
    type: Literal["json_object"]


class JSONSchema(Strict):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    strict: bool | None = None


class SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: JSONSchema


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JSONFormat, Tag("<json_object>")]
    | Annotated[SchemaFormat, Tag("<json_schema>")],
    by("type"),
]


class StreamOptions(Strict):
    """`include_obfuscation` is accepted; chunks are never padded."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class AcceptedFields(Strict):
    """Fields that do not bear on the answer. They are accepted and not passed on.

    Answers are never stored at a provider, whatever `store` says; what tells a provider's users or caches apart is
    the gateway's own business.
    """

    user: Identifier | None = None
    safety_identifier: Identifier | None = None
    metadata: Annotated[dict[str, Identifier], Field(max_length=16)] | None = None
    store: bool | None = None
    prompt_cache_key: Identifier | None = None
    prompt_cache_options: Schema | None = None
    prompt_cache_retention: Identifier | None = None
    prediction: Schema | None = None


class RefusedFields(Strict):
    """Fields that would change the answer and that cannot be honoured."""

    audio: Annotated[None, Unsupported("answers are text only")] = None
    modalities: Annotated[None, Unsupported("answers are text only", allowed=(["text"],))] = None
    function_call: Annotated[None, Unsupported("it is deprecated, use tool_choice")] = None
    functions: Annotated[None, Unsupported("it is deprecated, use tools")] = None
    logit_bias: Annotated[None, Unsupported("token ids are not accepted, because their text cannot be classified")] = (
        None
    )
    moderation: Annotated[None, Unsupported("moderation within a completion is not supported")] = None
    service_tier: Annotated[None, Unsupported("only the default tier is supported", allowed=("auto", "default"))] = None
    verbosity: Annotated[None, Unsupported("only the default, medium, is supported", allowed=("medium",))] = None
    web_search_options: Annotated[None, Unsupported("tools that a provider runs are not supported")] = None


class SamplingFields(Strict):
    """How the answer is to be written."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    stop: Stop | None = None
    seed: Int64 | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None

    def to_sampling(self) -> Sampling:
        if self.model_fields_set.isdisjoint(SamplingFields.model_fields):
            return AS_THE_MODEL_DOES
        limits = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=min(limits, default=None),
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            seed=self.seed,
            n=self.n,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs,
            reasoning_effort=self.reasoning_effort,
        )


class ToolingFields(Strict):
    """The tools that may be called, and the form of the answer."""

    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None

    def to_tooling(self) -> Tooling:
        if self.model_fields_set.isdisjoint(ToolingFields.model_fields):
            return NO_TOOLING
        return Tooling(
            tools=tuple(_as_given(tool) for tool in self.tools or ()),
            tool_choice=_as_given(self.tool_choice),
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=_as_given(self.response_format),
        )


class ChatCompletionBody(AcceptedFields, RefusedFields, ToolingFields, SamplingFields, SluiceOptions):
    """`POST /v1/chat/completions`. `model` is `auto`, `documents` (auto with retrieval), `local` or a model's name."""

    model: Name
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    complexity: Annotated[Complexity, Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed with stream")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed with logprobs")
        if self.tool_choice not in (None, "none") and not self.tools:
            raise ValueError("tool_choice is only allowed with tools")
        if self.parallel_tool_calls is not None and not self.tools:
            raise ValueError("parallel_tool_calls is only allowed with tools")
        return self

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def to_request(self, options: HeaderOptions) -> ChatRequest:
        """The request as the pipeline takes it, joined with what the headers state."""
        labels = [label for label in (self.sensitivity, options.sensitivity) if label is not None]
        return ChatRequest(
            messages=tuple(message.to_message() for message in self.messages),
            model=AUTO if self.model == DOCUMENTS else self.model,
            sampling=self.to_sampling(),
            tooling=self.to_tooling(),
            sensitivity=max(labels, default=None),
            complexity=self.complexity,
            stream=bool(self.stream),
            session_id=self.session_id or options.session_id,
            documents=self._documents(options),
            cache=self._cache(options),
        )

    def _documents(self, options: HeaderOptions) -> RetrievalScope | None:
        """Retrieval is off unless it is asked for, here or by the name of the model."""
        stated = options.documents if self.documents is None else self.documents
        return scope_of(self.model == DOCUMENTS if stated is None else stated)

    def _cache(self, options: HeaderOptions) -> CacheUse:
        stated = options.cache if self.cache is None else self.cache
        return cache_use(True if stated is None else stated, asked=stated is not None)


def _as_given(value: Strict | str | None) -> JSONValue:
    """The JSON that was read, without the fields that were left out."""
    if isinstance(value, Strict):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return value
