"""Every field of every body has been decided on: it is a position of the matrix, or it holds no text that is sent."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pydantic import BaseModel

from app.models import ImagePart, Message, Sampling, TextPart, ToolCall, Tooling
from app.routers.native import ChatBody
from app.routers.openai.bodies import ChatCompletionBody, RefusedFields
from app.routers.openai.embeddings import EmbeddingsBody
from app.routers.search import SearchBody
from app.routers.uploads import DocumentBody

POSITIONS = {
    ChatBody: {"message", "content", "messages", "documents"},
    ChatCompletionBody: {
        "messages", "documents", "stop", "tools", "tool_choice", "response_format", "user", "safety_identifier",
        "metadata", "prompt_cache_key", "prediction",
    },
    EmbeddingsBody: {"input", "user"},
    SearchBody: {"query"},
    DocumentBody: {"content", "title", "id", "metadata"},
}  # fmt: skip

# Numbers, words of a fixed list, names that are looked up here and never passed on as they are.
WITHOUT_TEXT = {
    "cache", "collection", "complexity", "dimensions", "encoding_format", "filter", "frequency_penalty", "limit",
    "logprobs", "max_completion_tokens", "max_tokens", "model", "n", "parallel_tool_calls", "parent_id",
    "presence_penalty", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "regenerate", "seed",
    "sensitivity", "session_id", "store", "stream", "stream_options", "temperature", "top_logprobs", "top_p", "user_id",
}  # fmt: skip

# What the values that are serialised for a model are made of, as the matrix has tried it.
SERIALISED = {
    Message: {"role", "parts", "name", "tool_calls", "tool_call_id"},
    TextPart: {"text"},
    ImagePart: {"url", "detail"},
    ToolCall: {"id", "name", "arguments"},
    Tooling: {"tools", "tool_choice", "parallel_tool_calls", "response_format"},
    Sampling: {
        "temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty", "logprobs",
        "top_logprobs", "reasoning_effort",
    },
}  # fmt: skip


@pytest.mark.parametrize("body", POSITIONS, ids=lambda body: body.__name__)
def test_every_field_of_a_body_is_a_position_or_holds_no_text_that_is_sent(body: type[BaseModel]) -> None:
    undecided = set(body.model_fields) - POSITIONS[body] - WITHOUT_TEXT - set(RefusedFields.model_fields)
    assert undecided == set()


@pytest.mark.parametrize("value", SERIALISED, ids=lambda value: value.__name__)
def test_every_field_that_is_serialised_has_been_tried(value: Any) -> None:
    assert {field.name for field in fields(value)} == SERIALISED[value]
