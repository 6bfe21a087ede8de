"""Text as the model reads it: word pieces, their places in the text, and the window that fits the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from app.providers.minilm.files import WINDOW

Ids = NDArray[np.int64]

FRAME = 2  # [CLS] before and [SEP] after each text.
# A word of more letters becomes a single unknown token (`max_input_chars_per_word` in the model's tokenizer.json).
LONGEST_WORD = 100
# How many characters are looked at to fill the window. The first is enough for prose; the others are for texts
# of blanks and giant words, which have few tokens. What lies beyond the last is left out.
REACHES = (2_048, 8_192, 65_536)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Vocabulary:
    """The model's tokenizer. Safe for any number of threads; the long work is done without the interpreter's lock."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        # The published file pads and cuts to 128 tokens, a remnant of training.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = (self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))

    def count(self, text: str) -> int:
        """How many tokens the whole text has, without the frame."""
        return len(self._encode(text))

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Where each token of the whole text starts and ends, in characters, without the frame."""
        encoding = self._tokenizer.encode_batch([_readable(text)], add_special_tokens=False)[0]
        offsets: list[tuple[int, int]] = encoding.offsets
        return offsets

    def window(self, text: str) -> Ids:
        """The ids of the first tokens, with their frame: at most `WINDOW`, shape (tokens)."""
        for reach in REACHES:
            encoding = self._encode(text[:reach])
            # Cutting through a word may change its pieces, so the window must be full without the last word.
            if reach >= len(text) or len(encoding) >= WINDOW - FRAME + LONGEST_WORD:
                break
        return np.array([self._start, *encoding.ids[: WINDOW - FRAME], self._end], dtype=np.int64)

    def _encode(self, text: str) -> Encoding:
        # The batch call, because the call for one text holds the interpreter's lock; `fast` leaves the offsets out.
        return self._tokenizer.encode_batch_fast([_readable(text)], add_special_tokens=False)[0]


def _readable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which have no UTF-8 form; every character keeps its place."""
    return _LONE_SURROGATE.sub("\ufffd", text)
