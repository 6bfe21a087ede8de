"""A prompt as the body of Ollama's `POST /api/chat`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from app.errors import UpstreamBrokenError, UpstreamRejectedError
from app.models import ImagePart, JSONValue, Message, Prompt, Sampling, ToolCall
from app.providers.ollama.facts import ModelFacts
from app.providers.wire import decode, object_at, objects_at, text_at, without_absent
from app.utils.tokens import count_tokens

# The window a server gives a prompt that asks for none, unless its operator set another.
DEFAULT_WINDOW = 4096
ROOM_FOR_AN_ANSWER = 1024
TOKENS_OF_A_TEMPLATE = 8
# Models with small vocabularies make up to a quarter more tokens of a text than those that the estimate is made for.
SAFETY = 1.25
TOKENS_OF_AN_IMAGE = 1600


def chat_body(prompt: Prompt, *, model: str, facts: ModelFacts) -> dict[str, JSONValue]:
    """The body for the model of this name; what the caller left out is left out.

    Raises `UpstreamRejectedError` for what the API has no words for: several choices, images by URL.
    `truncate: false` makes a prompt that is too long an error; by default its beginning is dropped without a word.
    """
    if (prompt.sampling.n or 1) > 1:
        raise UpstreamRejectedError
    body: dict[str, JSONValue] = {
        "model": model,
        "messages": _messages(prompt.messages),
        "stream": prompt.stream,
        "truncate": False,
        "tools": _tools(prompt),
        "format": _format(prompt.tooling.response_format),
        "think": _think(prompt.sampling.reasoning_effort, facts=facts),
        "logprobs": prompt.sampling.logprobs,
        "top_logprobs": prompt.sampling.top_logprobs,
        "options": _options(prompt.sampling, window=needed_window(prompt, facts=facts)) or None,
    }
    return without_absent(body)


def needed_window(prompt: Prompt, *, facts: ModelFacts) -> int | None:
    """The context window to ask for, in tokens; `None` where the one the server gives by itself is enough.

    Powers of two, because a server loads the model anew for every other window.
    """
    texts = sum(_estimate(message) for message in prompt.messages)
    texts += sum(count_tokens(str(tool)) for tool in prompt.tooling.tools)
    tokens = math.ceil(texts * SAFETY) + (prompt.sampling.max_tokens or ROOM_FOR_AN_ANSWER)
    if tokens <= (facts.window or DEFAULT_WINDOW):
        return None
    window = 1 << (tokens - 1).bit_length()
    return min(window, facts.context_length) if facts.context_length else window


def _estimate(message: Message) -> int:
    images = sum(isinstance(part, ImagePart) for part in message.parts)
    calls = sum(count_tokens(call.arguments) for call in message.tool_calls)
    return count_tokens(message.text) + calls + images * TOKENS_OF_AN_IMAGE + TOKENS_OF_A_TEMPLATE


def _options(sampling: Sampling, *, window: int | None) -> dict[str, JSONValue]:
    return without_absent(
        {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "num_predict": sampling.max_tokens,
            "stop": sampling.stop or None,
            "seed": sampling.seed,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "num_ctx": window,
        }
    )


def _messages(messages: Sequence[Message]) -> list[JSONValue]:
    called = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_message(message, called=called) for message in messages]


def _message(message: Message, *, called: Mapping[str, str]) -> JSONValue:
    return without_absent(
        {
            "role": "system" if message.role == "developer" else message.role,
            "content": message.text,
            "images": [_image(part) for part in message.parts if isinstance(part, ImagePart)] or None,
            "tool_calls": [_tool_call(call) for call in message.tool_calls] or None,
            "tool_name": message.name or called.get(message.tool_call_id or "") if message.role == "tool" else None,
            "tool_call_id": message.tool_call_id,
        }
    )


def _image(part: ImagePart) -> str:
    """The base64 text of a `data:` URL: the server fetches nothing, and neither do we."""
    head, _, data = part.url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise UpstreamRejectedError
    return data


def _tool_call(call: ToolCall) -> JSONValue:
    try:
        arguments = decode((call.arguments or "{}").encode())
    except (UpstreamBrokenError, UnicodeEncodeError):
        raise UpstreamRejectedError from None
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _tools(prompt: Prompt) -> JSONValue:
    """The tools the model may use. The API cannot force a call; a choice of none or of one narrows the list."""
    tools, choice = prompt.tooling.tools, prompt.tooling.tool_choice
    if choice == "none":
        return None
    if isinstance(choice, dict):
        name = text_at(object_at(choice, "function"), "name")
        tools = tuple(tool for tool in objects_at({"tools": list(tools)}, "tools") if _name_of(tool) == name)
    return tools or None


def _name_of(tool: Mapping[str, JSONValue]) -> str:
    return text_at(object_at(tool, "function"), "name")


def _format(response_format: JSONValue) -> JSONValue:
    """`"json"` for JSON mode, the schema itself for a JSON schema."""
    if not isinstance(response_format, dict):
        return None
    match response_format.get("type"):
        case "json_object":
            return "json"
        case "json_schema":
            return object_at(object_at(response_format, "json_schema"), "schema") or "json"
        case _:
            return None


def _think(effort: str | None, *, facts: ModelFacts) -> JSONValue:
    """A switch, or a word for the models that know degrees; nothing for those that do not think, which refuse it."""
    if effort is None or not facts.thinking:
        return None
    if facts.family == "gptoss":
        return effort if effort in {"low", "medium", "high"} else None
    return effort not in {"none", "minimal"}
