"""A prompt as the body of OpenAI's `POST /chat/completions`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.models import ImagePart, JSONValue, Message, Part, Prompt, Sampling, TextPart, ToolCall
from app.providers.wire import without_absent

# o1, o3-mini, gpt-5.1 and their kin refuse `max_tokens`, wherever they are served from.
REASONING_MODEL = re.compile(r"(^|/)(o\d|gpt-([5-9]|\d\d))([.:-]|$)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between OpenAI's own service and the servers that follow it.

    `openai` is true for OpenAI's hosts. Only they are sent `store: false`, the `developer` role and
    `max_completion_tokens` for every model: vLLM, llama.cpp and others refuse or ignore one or another of these.
    """

    openai: bool = False

    @classmethod
    def of(cls, base_url: str) -> Dialect:
        """The dialect spoken at the address."""
        host = urlsplit(base_url).hostname or ""
        return cls(openai=host == "openai.com" or host.endswith(".openai.com"))


def chat_body(prompt: Prompt, *, model: str, dialect: Dialect) -> dict[str, JSONValue]:
    """The body for the model of this name; what the caller left out is left out."""
    body: dict[str, JSONValue] = {
        "model": model,
        "messages": [_message(message, dialect=dialect) for message in prompt.messages],
        "stream": prompt.stream,
        "stream_options": {"include_usage": True} if prompt.stream else None,
        "store": False if dialect.openai else None,
        **_sampling(prompt.sampling, model=model, dialect=dialect),
        "tools": prompt.tooling.tools or None,
        "tool_choice": prompt.tooling.tool_choice,
        "parallel_tool_calls": prompt.tooling.parallel_tool_calls,
        "response_format": prompt.tooling.response_format,
    }
    return without_absent(body)


def _sampling(sampling: Sampling, *, model: str, dialect: Dialect) -> dict[str, JSONValue]:
    limit = "max_completion_tokens" if dialect.openai or REASONING_MODEL.search(model) else "max_tokens"
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        limit: sampling.max_tokens,
        "stop": sampling.stop or None,
        "seed": sampling.seed,
        "n": sampling.n,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "reasoning_effort": sampling.reasoning_effort,
    }


def _message(message: Message, *, dialect: Dialect) -> JSONValue:
    role = "system" if message.role == "developer" and not dialect.openai else message.role
    return {
        "role": role,
        "content": _content(message),
        **without_absent(
            {
                "name": message.name,
                "tool_calls": [_tool_call(call) for call in message.tool_calls] or None,
                "tool_call_id": message.tool_call_id,
            }
        ),
    }


def _content(message: Message) -> JSONValue:
    match message.parts:
        case ():
            return None if message.tool_calls else ""
        case (TextPart(text),):
            # Many servers take a list of parts only from users.
            return text
        case parts:
            return [_part(part) for part in parts]


def _part(part: Part) -> JSONValue:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(url, detail):
            return {"type": "image_url", "image_url": without_absent({"url": url, "detail": detail})}


def _tool_call(call: ToolCall) -> JSONValue:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
