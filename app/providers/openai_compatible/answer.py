"""What an OpenAI-compatible server answers: chunks and whole answers, folded into pieces of a completion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orjson

from app.errors import UpstreamBrokenError, UpstreamError
from app.models import Delta, FinishReason, JSONValue, Opening, Piece, Stop, ToolCallDelta, Usage
from app.providers.openai_compatible.failure import reported_failure
from app.providers.openai_compatible.token_details import read_details
from app.providers.wire import JSONObject, count_at, object_at, objects_at, text_at

# The words of OpenAI, and what others say for the same. A reason that is not known may hide a cut answer, so it is
# not taken for an end.
FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
}
# What most chunks have and no more.
TEXT_FIELDS = frozenset({"role", "content"})
THINKING_FIELDS = ("reasoning_content", "reasoning")


class ChatAnswer:
    """Reads the chunks of one answer, or the one body that holds it all.

    The stops are given out by `end`, once the body is known to be whole; until then only the opening and deltas are.
    """

    def __init__(self, *, choices: int) -> None:
        self._choices = choices
        self._stops: dict[int, FinishReason] = {}
        self._call_positions: dict[int, dict[str, int]] = {}
        self._usage: Usage | None = None
        self._opened = False

    def read(self, event: JSONObject) -> Iterable[Opening | Delta]:
        """The opening or the deltas in a chunk or body; raises the `UpstreamError` that it reports or that it is."""
        text = self._read_text(event)
        return self._read_choices(event) if text is None else (text,)

    def _read_text(self, event: JSONObject) -> Delta | None:
        """What most chunks are: text of the first choice. `None` for anything that is more, or less."""
        choices = event.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or event.get("error") or event.get("usage"):
            return None
        choice = choices[0]
        message = choice.get("delta") if isinstance(choice, dict) and choice.get("index") == 0 else None
        if not isinstance(message, dict) or not message.keys() <= TEXT_FIELDS or 0 in self._stops:
            return None
        content = message.get("content")
        if not content or not isinstance(content, str) or choice.get("finish_reason") or choice.get("logprobs"):
            return None
        self._opened = True
        return Delta(content=content)

    def _read_choices(self, event: JSONObject) -> Iterator[Opening | Delta]:
        if event.get("error"):
            raise reported_failure(event, status=None)
        if usage := object_at(event, "usage"):
            self._usage = read_usage(usage) or self._usage
        for choice in objects_at(event, "choices"):
            yield from self._read_choice(choice)

    def end(self) -> Iterator[Piece]:
        """The stops and the usage; raises `UpstreamBrokenError` unless every choice asked for has finished.

        What the server reported is given out in either case: it was used.
        """
        finished = len(self._stops) >= self._choices
        for index, reason in sorted(self._stops.items()) if finished else ():
            yield Stop(reason=reason, index=index)
        if self._usage is not None:
            yield self._usage
        if not finished:
            raise UpstreamBrokenError

    def _read_choice(self, choice: JSONObject) -> Iterator[Opening | Delta]:
        index = count_at(choice, "index") or 0
        message = object_at(choice, "delta") or object_at(choice, "message")
        content, logprobs = _content(message.get("content")), choice.get("logprobs")
        if message.keys() <= TEXT_FIELDS:
            delta = Delta(content=content, index=index, logprobs=logprobs)
        else:
            calls = tuple(self._tool_calls(message, index=index)) if "tool_calls" in message else ()
            refusal = text_at(message, "refusal")
            delta = Delta(content=content, index=index, tool_calls=calls, refusal=refusal, logprobs=logprobs)
        empty = delta.is_empty
        if index >= self._choices or (index in self._stops and not empty):
            raise UpstreamBrokenError
        # A model that thinks gives signs of life: deltas without content.
        if not empty or any(message.get(field) for field in THINKING_FIELDS):
            yield delta
        elif not self._opened:
            yield Opening()
        self._opened = True
        if reason := text_at(choice, "finish_reason"):
            self._stops.setdefault(index, _finish_reason(reason))

    def _tool_calls(self, message: JSONObject, *, index: int) -> Iterator[ToolCallDelta]:
        for call in objects_at(message, "tool_calls"):
            function = object_at(call, "function")
            yield ToolCallDelta(
                position=self._position(call, index=index),
                id=text_at(call, "id") or None,
                name=text_at(function, "name") or None,
                arguments=_arguments(function.get("arguments")),
            )

    def _position(self, call: JSONObject, *, index: int) -> int:
        """The stated position; servers that state none tell their calls apart by id."""
        stated = count_at(call, "index")
        if stated is not None:
            return stated
        known = self._call_positions.setdefault(index, {})
        call_id = text_at(call, "id")
        return known.setdefault(call_id, len(known)) if call_id else max(len(known) - 1, 0)


def read_usage(usage: JSONObject) -> Usage | None:
    """The tokens reported; `None` unless both counts are there or follow from the total."""
    prompt, completion = count_at(usage, "prompt_tokens"), count_at(usage, "completion_tokens")
    total = count_at(usage, "total_tokens")
    if prompt is None and completion is not None and total is not None:
        prompt = total - completion
    if completion is None and prompt is not None and total is not None:
        completion = total - prompt
    if prompt is None or completion is None or min(prompt, completion) < 0:
        return None
    details = read_details(usage, prompt=prompt, completion=completion)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, details=details)


def _finish_reason(reason: str) -> FinishReason:
    if reason == "error":
        raise UpstreamError
    if reason not in FINISH_REASONS:
        raise UpstreamBrokenError
    return FINISH_REASONS[reason]


def _content(content: JSONValue) -> str:
    """Text as it is, or the text parts of a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(text_at(part, "text") for part in content if isinstance(part, dict))
    return ""


def _arguments(arguments: JSONValue) -> str:
    """JSON text as it is; servers that send the object itself mean its JSON text."""
    if isinstance(arguments, dict):
        return orjson.dumps(arguments).decode()
    return arguments if isinstance(arguments, str) else ""
