"""Embeddings by the models of an Ollama server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

from app.egress import Egress, Request
from app.errors import RemoteModelError, UnknownModelError, UpstreamUnavailableError
from app.models import Dispatch, JSONValue, Label, Locality, Model
from app.protocols import Vectors
from app.providers.ollama.answer import read_failure
from app.providers.ollama.facts import tagged
from app.providers.ollama.inventory import Inventory
from app.providers.vectors import stack, unit_vectors
from app.providers.wire import decode, encode
from app.utils.tokens import token_spans

TEXTS_IN_A_REQUEST = 32
SMALLEST_WINDOW = 512
# Tokens are estimated here, and of text that is not prose twice as many may be counted there.
SAFETY = 2


class OllamaEmbedding:
    """As `EmbeddingModel`, by a model that the server has pulled; `open` finds out what it is.

    `digest` names its weights. `max_tokens` is half of what the model takes, for safety's sake.
    """

    def __init__(self, model: Model, *, digest: str, base_url: str, egress: Egress, inventory: Inventory) -> None:
        self.model = model
        self.max_tokens = (model.context_length or SMALLEST_WINDOW) // SAFETY
        self.fingerprint = f"{model.provider}/{tagged(model.name)}@{digest}"
        self._base_url = base_url
        self._egress = egress
        self._inventory = inventory

    @classmethod
    async def find(
        cls,
        name: str,
        *,
        base_url: str,
        egress: Egress,
        cloud_clearance: Label,
        provider: str = "ollama",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Ask the server for the model.

        Raises `UpstreamUnavailableError` if it does not answer and `UnknownModelError` if it has not pulled the model.
        """
        base_url = base_url.rstrip("/")
        inventory = Inventory(base_url=base_url, egress=egress, monotonic=monotonic)
        locality = await egress.locate(base_url)
        pulled = await inventory.pulled(locality=locality)
        if pulled is None:
            raise UpstreamUnavailableError
        digest = next((digest for listed, digest in pulled if tagged(listed) == tagged(name)), None)
        if digest is None:
            raise UnknownModelError(param="model")
        facts = await inventory.facts(name, digest=digest, locality=locality)
        if not inventory.runs_here(name, facts=facts):
            locality = Locality.CLOUD
        model = Model(
            provider=provider,
            name=name,
            locality=locality,
            clearance=Label.CONFIDENTIAL if locality is Locality.LOCAL else cloud_clearance,
            context_length=facts.context_length,
        )
        return cls(model, digest=digest, base_url=base_url, egress=egress, inventory=inventory)

    async def embed(
        self,
        dispatch: Dispatch[Sequence[str]],
        *,
        bulk: bool = False,  # noqa: ARG002  (the server decides what waits for what)
    ) -> Vectors:
        """As `EmbeddingModel.embed`; raises the `UpstreamError` that says what went wrong."""
        texts = dispatch.payload
        starts = range(0, len(texts), TEXTS_IN_A_REQUEST)
        return stack([await self._embed(dispatch, texts[start : start + TEXTS_IN_A_REQUEST]) for start in starts])

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """As `EmbeddingModel.token_offsets`, estimated."""
        return token_spans(text)

    async def close(self) -> None:
        """Nothing to do: the connections are the egress's."""

    async def _embed(self, dispatch: Dispatch[Sequence[str]], texts: Sequence[str]) -> Vectors:
        local = dispatch.model.locality is Locality.LOCAL
        if local:
            await self._inventory.confirm_local(dispatch.model.name)
        # A text that is too long after all loses its end to the vector rather than its document to an error.
        body: dict[str, JSONValue] = {"model": dispatch.model.name, "input": list(texts), "truncate": True}
        request = Request(url=f"{self._base_url}/api/embed", body=encode(body))
        async with self._egress.send(dispatch, request) as response:
            if response.status != HTTPStatus.OK:
                raise await read_failure(response, now=datetime.now(UTC))
            answer = decode(await response.body())
        if local and (answer.get("remote_host") or answer.get("remote_model")):
            self._inventory.quarantine(dispatch.model.name)
            raise RemoteModelError
        return unit_vectors(answer.get("embeddings"), count=len(texts))
