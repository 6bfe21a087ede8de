"""The engine: texts in, unit vectors out, without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray

from app.providers.minilm import files
from app.providers.minilm.files import WINDOW
from app.providers.minilm.lanes import Lanes
from app.providers.minilm.tokens import FRAME, Ids, Vocabulary

# A product over fewer tokens waits for memory, over more it falls out of the processor's cache: measured on x86-64,
# a token is cheapest in runs of 128 to 300. The longest run, one token short of this and then a full text, stays
# under 50 ms there.
_ENOUGH = 128
# Beside the one for documents: two of what somebody is waiting for at once.
_THREADS = 2


class MiniLM:
    """all-MiniLM-L6-v2: sentences and short paragraphs to 384 dimensions, cosine similarity, English.

    `max_tokens` counts the two tokens that frame each text; `count_tokens` counts them too, `token_offsets` has no
    place for them. What lies beyond `max_tokens` does not reach the vector.
    """

    dimensions = 384
    max_tokens = WINDOW
    fingerprint = files.FINGERPRINT

    def __init__(self, folder: Path, *, threads: int = _THREADS) -> None:
        """Read the built graph in `folder`, in about 0.1 s."""
        self._vocabulary = Vocabulary(folder / files.TOKENIZER)
        self._session = _session(folder / files.GRAPH)
        self._lanes = Lanes(
            self._run, encode=self._vocabulary.window, dimensions=self.dimensions, enough=_ENOUGH, threads=threads
        )

    @classmethod
    def load(cls, *, threads: int = _THREADS) -> Self:
        """The engine of this environment, whose graph is built first if it is missing (a second more).

        Raises `ConfigurationError` if it is missing and cannot be built.
        """
        folder = files.built_folder()
        if not folder.exists():
            # Imported here because `onnx` costs 0.15 s and 20 MB, and is needed only once in an environment's life.
            from app.providers.minilm.build import build  # noqa: PLC0415

            build(source=files.published_folder(), target=folder)
        return cls(folder, threads=threads)

    async def embed(self, texts: Sequence[str], *, bulk: bool = False) -> NDArray[np.float32]:
        """Vectors of length 1, shape (texts, 384), in the order of `texts`.

        `bulk` texts give way to those that somebody is waiting for. Cancelling the call drops the texts that are not
        begun. Raises `ShuttingDownError` after `close`.
        """
        return await asyncio.wrap_future(self._lanes.submit(texts, bulk=bulk))

    def count_tokens(self, text: str) -> int:
        """How many tokens the whole text has with its frame: up to `max_tokens`, nothing is cut off.

        Takes about 0.25 s for a million characters, without holding the interpreter's lock.
        """
        return self._vocabulary.count(text) + FRAME

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Where each token of the whole text starts and ends, in characters; the frame has no place and is not here.

        Takes about 0.5 s for a million characters, without holding the interpreter's lock.
        """
        return self._vocabulary.offsets(text)

    def close(self) -> None:
        """Wait for what is under way and end the threads; calls that need more than that fail. May be called again."""
        self._lanes.close()

    def _run(self, texts: Sequence[Ids]) -> NDArray[np.float32]:
        """One vector for each text's token ids; the texts are packed end to end, as the graph expects them."""
        lengths = np.array([len(ids) for ids in texts])
        numbers = np.arange(len(texts))
        segments = np.repeat(numbers, lengths)
        feeds = {
            "ids": np.concatenate(texts),
            "positions": np.concatenate([np.arange(length) for length in lengths]),
            "segments": segments,
            "pooling": ((segments == numbers[:, None]) / lengths[:, None]).astype(np.float32),
        }
        vectors: NDArray[np.float32] = self._session.run(["embeddings"], feeds)[0]
        return vectors


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # A second thread takes a third to two fifths off a run's time and adds CPU; the lanes use the cores better.
    options.intra_op_num_threads = 1
    # Memory patterns are kept for each new shape, and here every run has one.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
