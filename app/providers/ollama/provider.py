"""Chat with the models of an Ollama server, over its own API."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from app.egress import Egress, Request, Response
from app.errors import RemoteModelError, UpstreamBrokenError
from app.models import Dispatch, Label, Locality, Model, Piece, Prompt
from app.protocols import Clock, ProviderStatus
from app.providers.ollama.answer import ChatAnswer, read_failure
from app.providers.ollama.facts import ModelFacts
from app.providers.ollama.inventory import Inventory
from app.providers.ollama.request import chat_body
from app.providers.wire import JSONObject, decode, encode, until_broken


def _new_call_id() -> str:
    return f"call_{uuid.uuid4().hex}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ollama:
    """One server. Its models are local only while the server's address is and the server says that they are."""

    def __init__(
        self,
        *,
        base_url: str,
        egress: Egress,
        cloud_clearance: Label,
        name: str = "ollama",
        new_call_id: Callable[[], str] = _new_call_id,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = _utc_now,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._egress = egress
        self._cloud_clearance = cloud_clearance
        self._new_call_id = new_call_id
        self._clock = clock
        self._inventory = Inventory(base_url=self._base_url, egress=egress, monotonic=monotonic)

    @property
    def quarantined(self) -> frozenset[str]:
        """The names of models that were taken for local ones and turned out to run elsewhere."""
        return self._inventory.quarantined

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        """As `ChatProvider.complete`. A delta without content means that the model is thinking."""
        local = dispatch.model.locality is Locality.LOCAL
        facts = await self._inventory.confirm_local(dispatch.model.name) if local else _facts_of(dispatch.model)
        body = chat_body(dispatch.payload, model=dispatch.model.name, facts=facts)
        request = Request(url=f"{self._base_url}/api/chat", body=encode(body))
        async with self._egress.send(dispatch, request) as response:
            if response.status != HTTPStatus.OK:
                raise await read_failure(response, now=self._clock())
            answer = ChatAnswer(local=local, new_id=self._new_call_id)
            async for frames in _frames(response, stream=dispatch.payload.stream):
                pieces, error = until_broken(answer.read_all(frames))
                if isinstance(error, RemoteModelError):
                    self._inventory.quarantine(dispatch.model.name)
                if pieces:
                    yield pieces
                if error is not None:
                    raise error
                if answer.done:
                    break
            if not answer.done:
                raise UpstreamBrokenError
            await response.settle()

    async def probe(self) -> ProviderStatus:
        """List the pulled models that chat. Each is asked about once; after that the list is one request."""
        locality = await self._egress.locate(self._base_url)
        pulled = await self._inventory.pulled(locality=locality)
        if pulled is None:
            return ProviderStatus(reachable=False)
        facts = await asyncio.gather(
            *(self._inventory.facts(name, digest=digest, locality=locality) for name, digest in pulled)
        )
        models = (
            self._model(name, facts=known, locality=locality)
            for (name, _), known in zip(pulled, facts, strict=True)
            if known.chats
        )
        return ProviderStatus(reachable=True, models=tuple(models))

    async def close(self) -> None:
        """Nothing to do: the connections are the egress's."""

    def _model(self, name: str, *, facts: ModelFacts, locality: Locality) -> Model:
        if not self._inventory.runs_here(name, facts=facts):
            locality = Locality.CLOUD
        return Model(
            provider=self.name,
            name=name,
            locality=locality,
            clearance=Label.CONFIDENTIAL if locality is Locality.LOCAL else self._cloud_clearance,
            context_length=facts.context_length,
            vision=facts.vision,
            tools=facts.tools,
        )


def _facts_of(model: Model) -> ModelFacts:
    """The little that the catalog knows of a model that runs elsewhere; windows are not ours to set there."""
    return ModelFacts(remote=True, context_length=model.context_length, window=model.context_length)


async def _frames(response: Response, *, stream: bool) -> AsyncIterator[Iterable[JSONObject]]:
    """The lines of a stream that arrive together, each decoded when it is asked for; or the body of a whole answer."""
    if not stream:
        yield (decode(await response.body()),)
        return
    while lines := await response.lines():
        yield map(decode, filter(None, lines))
