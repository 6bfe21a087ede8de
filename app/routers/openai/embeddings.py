"""OpenAI's embeddings: the request's body and the answer's."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from app.protocols import Vectors
from app.routers.fields import BY_SHAPE
from app.routers.native import LabelWord, Name, Strict
from app.routers.openai.options import HeaderOptions
from app.services.embeddings import Embedded, EmbeddingRequest

MOST_TEXTS = 2048

# Token ids are refused by their type: the text behind them could not be classified.
Text = Annotated[str, Field(min_length=1)]
Input = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS), Tag("<parts>")],
    BY_SHAPE,
]


class EmbeddingsBody(Strict):
    """`POST /v1/embeddings`: texts, not token ids. `user` is accepted and not passed on."""

    input: Input
    model: Name
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=100_000)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    sensitivity: LabelWord | None = None

    def to_request(self, options: HeaderOptions) -> EmbeddingRequest:
        """The request as the service takes it; of the options in the headers only the label bears on it."""
        labels = [label for label in (self.sensitivity, options.sensitivity) if label is not None]
        return EmbeddingRequest(
            texts=(self.input,) if isinstance(self.input, str) else tuple(self.input),
            model=self.model,
            dimensions=self.dimensions,
            sensitivity=max(labels, default=None),
        )


def embeddings_reply(embedded: Embedded, *, encoding_format: Literal["float", "base64"]) -> dict[str, Any]:
    """The answer; base64 holds little-endian 32-bit floats."""
    encode = _to_base64 if encoding_format == "base64" else _to_floats
    tokens = embedded.usage.prompt_tokens
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(embedded.vectors)
        ],
        "model": embedded.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _to_base64(vector: Vectors) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _to_floats(vector: Vectors) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats
