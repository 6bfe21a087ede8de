"""What Ollama answers: frames of a stream, or the one frame that holds it all, as pieces of a completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import orjson

from app.egress import Response
from app.errors import RemoteModelError, UpstreamBrokenError, UpstreamError
from app.models import Delta, FinishReason, JSONValue, Opening, Piece, Stop, ToolCallDelta, Usage
from app.providers.failures import failure, retry_after_seconds
from app.providers.wire import JSONObject, count_at, decode, object_at, objects_at, text_at

# Old servers give no reason for the ordinary end.
DONE_REASONS: Mapping[str, FinishReason] = {"": "stop", "stop": "stop", "length": "length"}


class ChatAnswer:
    """Reads the frames of one answer. A `local` model's answer must not come from another host."""

    def __init__(self, *, local: bool, new_id: Callable[[], str]) -> None:
        self.done = False
        self._spoke = False
        self._local = local
        self._new_id = new_id
        self._calls = 0

    def read_all(self, frames: Iterable[JSONObject]) -> Iterator[Piece]:
        """The pieces in the frames, as `read`, up to the answer's end."""
        for frame in frames:
            yield from self.read(frame)
            if self.done:
                return

    def read(self, frame: JSONObject) -> Iterator[Piece]:
        """The pieces in a frame; raises `RemoteModelError`, or the `UpstreamError` that it reports or that it is."""
        if self._local and (frame.get("remote_host") or frame.get("remote_model")):
            raise RemoteModelError
        if error := frame.get("error"):
            raise failure(status=None, message=error if isinstance(error, str) else "")
        message = object_at(frame, "message")
        opens = bool(message) and not self._spoke
        self._spoke = self._spoke or opens
        delta = Delta(
            content=text_at(message, "content"),
            tool_calls=tuple(self._tool_calls(message)),
            logprobs=_logprobs(frame.get("logprobs")),
        )
        # A model that thinks gives signs of life: deltas without content.
        if delta != Delta() or message.get("thinking"):
            yield delta
        elif opens:
            yield Opening()
        if frame.get("done") is True:
            yield from self._end(frame)

    def _end(self, frame: JSONObject) -> Iterator[Piece]:
        reason = DONE_REASONS.get(text_at(frame, "done_reason"))
        if reason is None or not self._spoke:
            raise UpstreamBrokenError
        self.done = True
        yield Stop(reason="tool_calls" if self._calls and reason == "stop" else reason)
        prompt, completion = count_at(frame, "prompt_eval_count"), count_at(frame, "eval_count")
        if prompt is not None and completion is not None:
            yield Usage(prompt_tokens=prompt, completion_tokens=completion)

    def _tool_calls(self, message: JSONObject) -> Iterator[ToolCallDelta]:
        """Calls come whole, with their arguments as an object."""
        for call in objects_at(message, "tool_calls"):
            function = object_at(call, "function")
            yield ToolCallDelta(
                position=self._calls,
                id=text_at(call, "id") or self._new_id(),
                name=text_at(function, "name"),
                arguments=orjson.dumps(object_at(function, "arguments")).decode(),
            )
            self._calls += 1


async def read_failure(response: Response, *, now: datetime) -> UpstreamError:
    """The error that a response with an error status stands for. Servers limit no rates, but proxies before them do."""
    retry_after = retry_after_seconds(response.headers.get("Retry-After"), now=now)
    try:
        message = text_at(decode(await response.body()), "error")
    except UpstreamError:
        message = ""
    return failure(status=response.status, message=message, retry_after=retry_after)


def _logprobs(tokens: JSONValue) -> JSONValue:
    """In OpenAI's form, whose entries have the same fields."""
    return {"content": tokens} if isinstance(tokens, list) and tokens else None
