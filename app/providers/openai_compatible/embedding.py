"""Embeddings over OpenAI's protocol."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

import numpy as np

from app.egress import Egress, Request
from app.errors import UpstreamBrokenError
from app.models import Dispatch, JSONValue, Label, Locality, Model
from app.protocols import Clock, Vectors
from app.providers.openai_compatible.failure import read_failure
from app.providers.openai_compatible.request import Dialect
from app.providers.vectors import stack, unit_vectors
from app.providers.wire import JSONObject, count_at, decode, encode, objects_at, without_absent
from app.utils.tokens import token_spans

TEXTS_IN_A_REQUEST = 64
# The window of OpenAI's embedding models, in tokens.
WINDOW = 8191
# Tokens are estimated here, and of text that is not prose twice as many may be counted there.
SAFETY = 2


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OpenAIEmbedding:
    """As `EmbeddingModel`, by one server. `base_url` includes the version path.

    The model is a cloud model unless its provider was declared local.

    `dimensions` asks for shorter vectors from a model that can; `None` takes the model's own length. `window` is the
    most tokens the model takes, of which `max_tokens` is half, for safety's sake.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        egress: Egress,
        clearance: Label,
        provider: str = "openai",
        locality: Locality = Locality.CLOUD,
        api_key: str | None = None,
        dimensions: int | None = None,
        window: int = WINDOW,
        dialect: Dialect | None = None,
        clock: Clock = _utc_now,
    ) -> None:
        self.model = Model(provider=provider, name=name, locality=locality, clearance=clearance, context_length=window)
        self.max_tokens = window // SAFETY
        self.fingerprint = f"{self.model.id}:{dimensions or 'full'}"
        self._base_url = base_url.rstrip("/")
        self._egress = egress
        self._dimensions = dimensions
        # OpenAI answers in base64 at a quarter of the size; not everybody who follows it knows how.
        self._encoding = "base64" if (dialect or Dialect.of(base_url)).openai else "float"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._clock = clock

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
        body = without_absent(
            {
                "model": dispatch.model.name,
                # An empty text is refused, a blank one is not.
                "input": [text or " " for text in texts],
                "encoding_format": self._encoding,
                "dimensions": self._dimensions,
            }
        )
        request = Request(url=f"{self._base_url}/embeddings", body=encode(body), headers=self._headers)
        async with self._egress.send(dispatch, request) as response:
            if response.status != HTTPStatus.OK:
                raise await read_failure(response, now=self._clock())
            return unit_vectors(_rows(decode(await response.body())), count=len(texts))


def _rows(answer: JSONObject) -> list[object]:
    """The vectors in the order of the texts, which the answer need not keep."""
    entries = objects_at(answer, "data")
    places = [count_at(entry, "index") for entry in entries]
    if places != list(range(len(entries))):
        by_place = {place: entry for place, entry in zip(places, entries, strict=True) if place is not None}
        if sorted(by_place) != list(range(len(entries))):
            raise UpstreamBrokenError
        entries = [by_place[place] for place in range(len(entries))]
    return [_row(entry.get("embedding")) for entry in entries]


def _row(embedding: JSONValue) -> object:
    """A list of numbers as it is; in base64, little-endian 32-bit floats."""
    if not isinstance(embedding, str):
        return embedding
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError):
        raise UpstreamBrokenError from None
