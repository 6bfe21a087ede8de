"""Chat over OpenAI's protocol: OpenAI, OpenRouter, vLLM, llama.cpp and whoever else follows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import chain, takewhile

from app.egress import Egress, Request, Response
from app.errors import UpstreamBrokenError
from app.models import Dispatch, Label, Locality, Piece, Prompt
from app.protocols import Clock, ProviderStatus
from app.providers.openai_compatible.answer import ChatAnswer
from app.providers.openai_compatible.events import EventBuffer
from app.providers.openai_compatible.failure import read_failure
from app.providers.openai_compatible.listing import read_models
from app.providers.openai_compatible.request import Dialect, chat_body
from app.providers.wire import JSONObject, decode, encode, until_broken

DONE = b"[DONE]"
KEY_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OpenAICompatible:
    """One server, under the name of its provider.

    `base_url` includes the version path (`https://api.openai.com/v1`). `locality` and `clearance` are those of the
    models it lists: cloud unless a catalog entry vouches for it.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        egress: Egress,
        clearance: Label,
        api_key: str | None = None,
        locality: Locality = Locality.CLOUD,
        dialect: Dialect | None = None,
        clock: Clock = _utc_now,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._egress = egress
        self._clearance = clearance
        self._locality = locality
        self._dialect = dialect or Dialect.of(base_url)
        self._clock = clock
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        """As `ChatProvider.complete`. A delta without content means that the model is thinking."""
        prompt = dispatch.payload
        body = chat_body(prompt, model=dispatch.model.name, dialect=self._dialect)
        request = Request(url=f"{self._base_url}/chat/completions", body=encode(body), headers=self._headers)
        async with self._egress.send(dispatch, request) as response:
            if response.status != HTTPStatus.OK:
                raise await read_failure(response, now=self._clock())
            answer = ChatAnswer(choices=prompt.sampling.n or 1)
            chunks, is_last = _Chunks(response, stream=prompt.stream), False
            while not is_last:
                events, is_last = await chunks.read()
                found: Iterable[Piece] = chain.from_iterable(map(answer.read, events))
                pieces, error = until_broken(chain(found, answer.end()) if is_last else found)
                if pieces:
                    yield pieces
                if error is not None:
                    raise error
            await response.settle()

    async def probe(self) -> ProviderStatus:
        """Ask for the models. A server that lists none may still answer; one that refuses our key does not."""
        found = await self._egress.ask(f"{self._base_url}/models", locality=self._locality, headers=self._headers)
        if found is None or found.status in KEY_REFUSED or found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ProviderStatus(reachable=False)
        try:
            listing = decode(found.body)
        except UpstreamBrokenError:
            return ProviderStatus(reachable=True)
        if found.status != HTTPStatus.OK or not isinstance(listing.get("data"), list):
            return ProviderStatus(reachable=True)
        models = read_models(listing, provider=self.name, locality=self._locality, clearance=self._clearance)
        return ProviderStatus(reachable=True, models=models)

    async def close(self) -> None:
        """Nothing to do: the connections are the egress's."""


class _Chunks:
    """The chunks of a stream as they arrive, or the one body of a whole answer, by what the server says it sends."""

    def __init__(self, response: Response, *, stream: bool) -> None:
        media_type = response.headers.get("Content-Type", "")
        self._is_stream = "event-stream" in media_type or (stream and "json" not in media_type)
        self._response = response
        self._buffer = EventBuffer()

    async def read(self) -> tuple[Iterable[JSONObject], bool]:
        """Those that arrive together, and whether they are the last.

        Each is decoded when it is asked for: what is good of a stream is given out before what is broken is found.
        """
        if not self._is_stream:
            return (decode(await self._response.body()),), True
        lines = await self._response.lines()
        if not lines:
            data = self._buffer.flush()
            return map(decode, [data] if data and data != DONE else ()), True
        found = self._buffer.feed(lines)
        is_last = DONE in found
        return map(decode, takewhile(DONE.__ne__, found) if is_last else found), is_last
