"""Chat with the models of an Ollama server, over its own API."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from http import HTTPStatus

from app.egress import Egress, Request, Response
from app.errors import (
    UpstreamBrokenError,
    UpstreamError,
    UpstreamModelNotFoundError,
    UpstreamUnavailableError,
)
from app.models import Dispatch, Label, Locality, Model, Piece, Prompt
from app.protocols import ProviderStatus
from app.providers.failures import failure
from app.providers.ollama.answer import ChatAnswer, RemoteModelError
from app.providers.ollama.facts import UNKNOWN, ModelFacts, has_cloud_name, read_facts, tagged
from app.providers.ollama.request import chat_body
from app.providers.wire import JSONObject, decode, encode, objects_at, text_at

# For so long a model that was seen to be local is not asked about again before it is sent a prompt.
CONFIRMED_SECONDS = 30.0


def _new_call_id() -> str:
    return f"call_{uuid.uuid4().hex}"


class Ollama:
    """One server. Its models are local only while the server's address is and the server says that they are.

    `quarantined` holds the names of models that were taken for local ones and turned out to run elsewhere: they are
    sent nothing and listed as cloud models until the process ends.
    """

    def __init__(
        self,
        *,
        base_url: str,
        egress: Egress,
        cloud_clearance: Label,
        name: str = "ollama",
        new_call_id: Callable[[], str] = _new_call_id,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._egress = egress
        self._cloud_clearance = cloud_clearance
        self._new_call_id = new_call_id
        self._monotonic = monotonic
        self._quarantined: set[str] = set()
        self._facts: dict[tuple[str, str], ModelFacts] = {}
        self._confirmed: dict[str, tuple[float, ModelFacts]] = {}

    @property
    def quarantined(self) -> frozenset[str]:
        return frozenset(self._quarantined)

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Piece, None]:
        """As `ChatProvider.complete`. A delta without content means that the model is thinking."""
        local = dispatch.model.locality is Locality.LOCAL
        facts = await self._confirm_local(dispatch.model) if local else _facts_of(dispatch.model)
        body = chat_body(dispatch.payload, model=dispatch.model.name, facts=facts)
        request = Request(url=f"{self._base_url}/api/chat", body=encode(body))
        async with self._egress.send(dispatch, request) as response:
            if response.status != HTTPStatus.OK:
                raise await read_failure(response)
            answer = ChatAnswer(local=local, new_id=self._new_call_id)
            try:
                async for frame in _frames(response, stream=dispatch.payload.stream):
                    for piece in answer.read(frame):
                        yield piece
                    if answer.done:
                        break
            except RemoteModelError:
                self._quarantined.add(tagged(dispatch.model.name))
                raise
            if not answer.done:
                raise UpstreamBrokenError
            await response.settle()

    async def probe(self) -> ProviderStatus:
        """List the pulled models that chat. Each is asked about once; after that the list is one request."""
        locality = await self._egress.locate(self._base_url)
        found = await self._egress.ask(f"{self._base_url}/api/tags", locality=locality)
        if found is None or found.status != HTTPStatus.OK:
            return ProviderStatus(reachable=False)
        try:
            entries = objects_at(decode(found.body), "models")
        except UpstreamBrokenError:
            return ProviderStatus(reachable=False)
        names = [(text_at(entry, "model") or text_at(entry, "name"), text_at(entry, "digest")) for entry in entries]
        facts = await asyncio.gather(
            *(self._facts_by_digest(name, digest=digest, locality=locality) for name, digest in names)
        )
        models = (
            self._model(name, facts=known, locality=locality)
            for (name, _), known in zip(names, facts, strict=True)
            if known.chats
        )
        return ProviderStatus(reachable=True, models=tuple(models))

    async def close(self) -> None:
        """Nothing to do: the connections are the egress's."""

    def _model(self, name: str, *, facts: ModelFacts, locality: Locality) -> Model:
        elsewhere = facts.remote or has_cloud_name(name) or tagged(name) in self._quarantined
        if elsewhere:
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

    async def _facts_by_digest(self, name: str, *, digest: str, locality: Locality) -> ModelFacts:
        """What the server says of the model; a digest names content that does not change."""
        known = self._facts.get((name, digest))
        if known is None:
            try:
                known = await self._ask_facts(name, locality=locality)
            except UpstreamError:
                return UNKNOWN
            self._facts[name, digest] = known
        return known

    async def _ask_facts(self, name: str, *, locality: Locality) -> ModelFacts:
        found = await self._egress.ask(f"{self._base_url}/api/show", locality=locality, body=encode({"model": name}))
        if found is None:
            raise UpstreamUnavailableError
        if found.status == HTTPStatus.NOT_FOUND:
            raise UpstreamModelNotFoundError
        if found.status != HTTPStatus.OK:
            raise failure(status=found.status)
        return read_facts(decode(found.body))

    async def _confirm_local(self, model: Model) -> ModelFacts:
        """What the server says of a model that is to be sent a prompt as a local one; unknown is not local."""
        name = tagged(model.name)
        if name in self._quarantined or has_cloud_name(name):
            raise RemoteModelError
        until, facts = self._confirmed.get(name, (0.0, UNKNOWN))
        if self._monotonic() < until and not facts.remote:
            return facts
        facts = await self._ask_facts(model.name, locality=Locality.LOCAL)
        if facts.remote:
            self._quarantined.add(name)
            raise RemoteModelError
        self._confirmed[name] = (self._monotonic() + CONFIRMED_SECONDS, facts)
        return facts


def _facts_of(model: Model) -> ModelFacts:
    """The little that the catalog knows of a model that runs elsewhere; windows are not ours to set there."""
    return ModelFacts(remote=True, context_length=model.context_length, window=model.context_length)


async def read_failure(response: Response) -> UpstreamError:
    """The error that a response with an error status stands for."""
    try:
        message = text_at(decode(await response.body()), "error")
    except UpstreamError:
        message = ""
    return failure(status=response.status, message=message)


async def _frames(response: Response, *, stream: bool) -> AsyncIterator[JSONObject]:
    """The lines of a stream, or the one body of a whole answer."""
    if not stream:
        yield decode(await response.body())
        return
    async for line in response.lines():
        if line:
            yield decode(line)
