"""A cross-encoder in ONNX form as a reranker: it reads question and passage together, in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from tokenizers import Tokenizer

from app.errors import ConfigurationError
from app.models import Dispatch, Label, Locality, Model
from app.protocols import RerankRequest

GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
# What the models of this kind were trained on.
WINDOW = 512
BATCH = 8


class CrossEncoder:
    """Implements `Reranker` by the graph and the tokenizer in a folder, as sentence-transformers exports them.

    The graph takes `input_ids`, `attention_mask` and, where it has it, `token_type_ids`, each of shape (n, tokens),
    and gives one logit for each pair.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `ConfigurationError` if the folder does not hold such a model."""
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001  # both libraries raise their own, over files of every kind
            raise ConfigurationError(f"RERANKER_MODEL: no {GRAPH} and {TOKENIZER} that can be read.") from None
        self._tokenizer.enable_truncation(WINDOW, strategy="only_second")
        self._tokenizer.enable_padding()
        self._inputs = {given.name for given in self._session.get_inputs()}
        self.model = Model(provider="builtin", name=folder.name, locality=Locality.LOCAL, clearance=Label.CONFIDENTIAL)

    async def score(self, dispatch: Dispatch[RerankRequest]) -> list[float]:
        return await asyncio.to_thread(self._score, dispatch.payload)

    async def close(self) -> None:
        """Nothing is open."""

    def _score(self, request: RerankRequest) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(request.texts), BATCH):
            pairs = [(request.query, text) for text in request.texts[start : start + BATCH]]
            encoded = self._tokenizer.encode_batch(pairs)
            feeds = {
                "input_ids": np.array([each.ids for each in encoded], dtype=np.int64),
                "attention_mask": np.array([each.attention_mask for each in encoded], dtype=np.int64),
                "token_type_ids": np.array([each.type_ids for each in encoded], dtype=np.int64),
            }
            logits = self._session.run(None, {name: feeds[name] for name in self._inputs})[0]
            scores += (1 / (1 + np.exp(-logits.reshape(len(pairs), -1)[:, 0].astype(np.float64)))).tolist()
        return scores
