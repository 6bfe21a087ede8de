"""The kinds of tokens that a usage report tells apart, in OpenAI's words and in those of others."""

from __future__ import annotations

from app.models import NO_DETAILS, TokenDetails
from app.providers.wire import JSONObject, count_at, object_at

# OpenAI and OpenRouter have details of the prompt; litellm and DeepSeek name some beside them.
CACHED = ("cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens")
CACHE_WRITE = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
REASONING = ("reasoning_tokens",)
BESIDE = frozenset((*CACHED, *CACHE_WRITE, *REASONING))


def read_details(usage: JSONObject, *, prompt: int, completion: int) -> TokenDetails:
    """The tokens of each kind, in all no more than the whole that they are part of."""
    asked = object_at(usage, "prompt_tokens_details")
    written = object_at(usage, "completion_tokens_details")
    if not (asked or written or usage.keys() & BESIDE):
        return NO_DETAILS
    of_prompt, of_completion = _Rest(prompt), _Rest(completion)
    details = TokenDetails(
        cached=of_prompt.take(_first(CACHED, asked, usage)),
        cache_write=of_prompt.take(_first(CACHE_WRITE, asked, usage)),
        audio=of_prompt.take(count_at(asked, "audio_tokens")),
        image=of_prompt.take(count_at(asked, "image_tokens")),
        spoken=of_completion.take(count_at(written, "audio_tokens")),
        reasoning=of_completion.take(_first(REASONING, written, usage)),
    )
    return NO_DETAILS if details == NO_DETAILS else details


class _Rest:
    """What is left of a whole that parts are taken from, so that no report makes a part larger than it."""

    def __init__(self, whole: int) -> None:
        self._left = whole

    def take(self, part: int | None) -> int:
        taken = min(part or 0, self._left)
        self._left -= taken
        return taken


def _first(names: tuple[str, ...], *places: JSONObject) -> int | None:
    """The first count that is there under any of the names."""
    found = (count_at(place, name) for place in places for name in names)
    return next((count for count in found if count), None)
