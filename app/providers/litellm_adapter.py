"""Chat through litellm with everything it knows and we do not speak ourselves: Anthropic, Gemini, Bedrock, Azure ...

Importing this module takes seconds: wiring does it in a thread, when such a model is first asked. Its models are
cloud models, whatever the catalog says. litellm opens connections of its own, so each dispatch is admitted by the
egress first, and what litellm would do beyond one plain request is switched off below. One thing cannot be: when a
connection breaks before an answer, its clients try once more on a fresh one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar

# Read at import: without it litellm fetches its price list from the internet.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm import exceptions
from litellm.caching.llm_caching_handler import LLMClientCache
from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

from app.egress import Egress
from app.errors import (
    ContentFilterError,
    ContextLengthError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from app.models import Dispatch, ImagePart, Model, Piece, Prompt
from app.protocols import Clock, ProviderStatus, RerankRequest
from app.providers.failures import failure, retry_after_seconds
from app.providers.openai_compatible.answer import ChatAnswer
from app.providers.openai_compatible.request import Dialect, chat_body
from app.providers.wire import JSONObject, until_broken
from app.utils.logging import take_over_loggers
from app.utils.tracing import CURRENT

Item = TypeVar("Item")

# Wishes that an answer is good without. Anything else that a model cannot do is an error, never left out in silence.
OPTIONAL = frozenset(
    {"frequency_penalty", "parallel_tool_calls", "presence_penalty", "reasoning_effort", "seed", "top_p"}
)

ERRORS: tuple[tuple[type[Exception], type[UpstreamError]], ...] = (
    (exceptions.ContextWindowExceededError, ContextLengthError),
    (exceptions.ContentPolicyViolationError, ContentFilterError),
    (exceptions.UnsupportedParamsError, UpstreamRejectedError),
    (exceptions.Timeout, UpstreamTimeoutError),
    (exceptions.APIConnectionError, UpstreamUnavailableError),
)


class _Clients(LLMClientCache):
    """Where litellm keeps the HTTP clients it makes; each is told on its way in not to follow redirects."""

    def set_cache(self, key: str, value: Any, litellm_owned_client: bool = False, **options: Any) -> None:
        inner: Any = getattr(value, "_client", value)
        for client in (value, inner):
            if hasattr(client, "follow_redirects"):
                client.follow_redirects = False
        super().set_cache(key, value, litellm_owned_client=litellm_owned_client, **options)


def _silence() -> None:
    """No logging of prompts, callbacks, proxies from the environment, retries, rewriting or dropping of parameters."""
    # Its log lines quote exceptions, which quote prompts.
    logging.getLogger("LiteLLM").disabled = True
    take_over_loggers()
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_streaming_logging = True
    litellm.disable_token_counter = True
    litellm.callbacks = []
    litellm.success_callback = []
    litellm.failure_callback = []
    litellm.disable_aiohttp_trust_env = True
    litellm.aiohttp_trust_env = False
    litellm.num_retries = 0
    litellm.drop_params = False
    litellm.modify_params = False
    litellm.in_memory_llm_clients_cache = _Clients()


_silence()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LiteLLM:
    """As `ChatProvider`, for the models of every provider that litellm knows.

    `api_keys` and `base_urls` are by provider; where they name none, litellm takes its own defaults and variables.
    """

    def __init__(
        self,
        *,
        egress: Egress,
        api_keys: Mapping[str, str] | None = None,
        base_urls: Mapping[str, str] | None = None,
        clock: Clock = _utc_now,
    ) -> None:
        self._egress = egress
        self._api_keys = api_keys or {}
        self._base_urls = base_urls or {}
        self._clock = clock

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        """As `ChatProvider.complete`; the model is asked for a stream in either mode.

        In a whole answer litellm fills in a finish reason that is not there; of a stream it tells.
        """
        self._egress.admit(dispatch)
        request = self._request(dispatch)
        answer = ChatAnswer(choices=dispatch.payload.sampling.n or 1)
        async with aclosing(_in_own_task(_chunks(request))) as chunks:
            try:
                async for chunk in chunks:
                    pieces, broken = until_broken(answer.read(chunk))
                    if pieces:
                        yield pieces
                    if broken is not None:
                        break
                else:
                    pieces, broken = until_broken(answer.end())
                    if pieces:
                        yield pieces
            except UpstreamError:
                raise
            # litellm raises whatever its parsers and its many clients raise; all of it means a failed call, and its
            # text may quote the prompt.
            except Exception as error:  # noqa: BLE001
                raise self._failure(error) from None
        if broken is not None:
            raise broken

    async def probe(self) -> ProviderStatus:
        """Whether the providers behind litellm answer is seen when they are asked."""
        return ProviderStatus(reachable=True)

    async def close(self) -> None:
        await close_litellm_async_clients()  # type: ignore[no-untyped-call]  # the library's function has no types

    def _request(self, dispatch: Dispatch[Prompt]) -> dict[str, Any]:
        prompt, model = dispatch.payload, dispatch.model
        if any(isinstance(part, ImagePart) and not _is_data(part) for turn in prompt.messages for part in turn.parts):
            # For some providers litellm would fetch the image itself.
            raise UpstreamRejectedError
        body = chat_body(prompt, model=model.id, dialect=Dialect())
        supported = litellm.get_supported_openai_params(model=model.name, custom_llm_provider=model.provider) or ()
        return {
            **{key: value for key, value in body.items() if key not in OPTIONAL or key in supported},
            "stream": True,
            "stream_options": {"include_usage": True},
            "api_key": self._api_keys.get(model.provider),
            "api_base": self._base_urls.get(model.provider),
            "num_retries": 0,
            "max_retries": 0,
            "extra_headers": _trace_headers(),
            # With tools it would import a package that it does not depend on.
            "_skip_mcp_handler": True,
        }

    def _failure(self, error: Exception) -> UpstreamError:
        return _translate(error, clock=self._clock)


class LiteLLMReranker:
    """Implements `Reranker` by a cloud model that litellm knows, named `cohere/rerank-v3.5`."""

    def __init__(
        self,
        model: Model,
        *,
        egress: Egress,
        api_key: str | None = None,
        base_url: str | None = None,
        clock: Clock = _utc_now,
    ) -> None:
        self.model = model
        self._egress = egress
        self._api_key = api_key
        self._base_url = base_url
        self._clock = clock

    async def score(self, dispatch: Dispatch[RerankRequest]) -> list[float]:
        """As `Reranker.score`; a text that the model leaves out gets 0."""
        self._egress.admit(dispatch)
        request = dispatch.payload
        try:
            answer = await litellm.arerank(
                model=dispatch.model.id,
                query=request.query,
                documents=list(request.texts),
                return_documents=False,
                api_key=self._api_key,
                api_base=self._base_url,
                num_retries=0,
                max_retries=0,
            )
            told = {int(each["index"]): float(each["relevance_score"]) for each in answer.results or ()}
        # As for chats: whatever is raised means a failed call, and its text may quote the passages.
        except Exception as error:  # noqa: BLE001
            raise _translate(error, clock=self._clock) from None
        return [min(1.0, max(0.0, told.get(number, 0.0))) for number in range(len(request.texts))]

    async def close(self) -> None:
        """The clients are shared with the chats."""


def _translate(error: Exception, *, clock: Clock) -> UpstreamError:
    """The error by class, status and words; nothing of its text is passed on."""
    original = getattr(error, "original_exception", None) or error
    for theirs, ours in ERRORS:
        if isinstance(original, theirs):
            return ours()
    status = getattr(original, "status_code", None)
    if not isinstance(status, int):
        return UpstreamBrokenError()
    headers = getattr(original, "litellm_response_headers", None) or {}
    wait = retry_after_seconds(headers.get("retry-after"), now=clock())
    return failure(status=status, message=str(original), retry_after=wait)


async def _chunks(request: Mapping[str, Any]) -> AsyncGenerator[JSONObject, None]:
    """The chunks of the answer in OpenAI's form; raises `UpstreamBrokenError` if it did not finish by itself."""
    stream = await litellm.acompletion(**request)
    try:
        async for chunk in stream:
            event = chunk.model_dump()
            if not (event.get("usage") or {}).get("total_tokens"):
                # Zeros stand where a provider reported nothing.
                event.pop("usage", None)
            yield event
        if stream.received_finish_reason is None:
            # The last chunk's finish reason was litellm's own invention.
            raise UpstreamBrokenError
    finally:
        await stream.aclose()


async def _in_own_task(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """The same items, made in a task that is cancelled when this is closed.

    Of litellm's streams only a cancelled read closes the connection on every route. So the task never waits but for
    the next item: the queue has no bound but the length of an answer.
    """
    queue: asyncio.Queue[Item | None] = asyncio.Queue()

    async def make() -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    queue.put_nowait(item)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(make())
    try:
        while (item := await queue.get()) is not None:
            yield item
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _trace_headers() -> dict[str, str] | None:
    """The ids of the trace that a call belongs to."""
    span = CURRENT.get()
    return None if span is None or span.context is None else {"traceparent": span.context.traceparent}


def _is_data(part: ImagePart) -> bool:
    return part.url.startswith("data:")
