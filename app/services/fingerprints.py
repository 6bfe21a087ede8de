"""Fingerprints of texts, by which a text is recognised that repeats a part of another.

Winnowing (Schleimer, Wilkerson, Aiken: Winnowing: Local Algorithms for Document Fingerprinting, SIGMOD 2003): every run
of `SHINGLE` tokens is hashed, and of every `WINDOW` hashes in a row the smallest is kept. What is kept of one text and
every hash of another share a value wherever the two share `WINDOW` runs that follow each other. Tokens are words; in
scripts that are written without spaces they are characters, of which more make a run. Runs of short words, such as
"before the end of the year", say too little and are passed over before the smallest is chosen.

The hashes are keyed, so that they tell nothing without the key: a polynomial over the tokens' CRC-32 modulo 2**64 with
a secret multiplier, mixed by the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). The digest of a whole text
is an HMAC, cut to 64 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from app.protocols import Fingerprints
from app.services.detectors.normalise import plain_view

# Of 630 prompts on other matters none shares six words in a row with XQuAD's 240 paragraphs; two share five.
SHINGLE = 6
CHARACTER_SHINGLE = 12
WINDOW = 4
# The letters that the words of a run have at least; a digit tells as much as three.
SHINGLE_LETTERS = 24
DIGIT_WEIGHT = 3
# A whole text that is shorter than this says too little to be recognised by.
SHORTEST_TEXT = 3

# Thai, Lao, Myanmar, Khmer, kana and ideographs.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[^\W_{_UNSPACED}]+")
# What is no letter or digit becomes a space.
_ASCII = bytes(code if chr(code).isalnum() and chr(code).isascii() else ord(" ") for code in range(256))
_CHARACTER = re.compile(rf"[{_UNSPACED}]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrtbf\"/\\])")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is left of a text when case, signs and spacing are taken away: words, and characters of unspaced scripts."""

    words: Sequence[bytes]
    characters: Sequence[bytes] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a text; the escapes of JSON count as what they stand for."""
        if "\\" in text:
            text = _ESCAPE.sub(_unescape, text)
        lowered = plain_view(text).lower
        if lowered.isascii():
            return cls(lowered.encode().translate(_ASCII).split())
        words, characters = _WORD.findall(lowered), _CHARACTER.findall(lowered)
        return cls([word.encode() for word in words], [character.encode() for character in characters])

    @property
    def are_telling(self) -> bool:
        """Whether a whole text of these is unlikely to be said again by chance."""
        return len(self.words) + len(self.characters) / 2 >= SHORTEST_TEXT


@dataclass(frozen=True, slots=True)
class FingerprintKey:
    """The secret that fingerprints are made with; texts of two tenants share none."""

    secret: bytes

    @classmethod
    def derive(cls, secret: bytes, *, tenant: str) -> Self:
        return cls(hmac.digest(secret, b"fingerprints\0" + tenant.encode(), hashlib.sha256))

    def digest(self, tokens: Tokens) -> int:
        """The digest of a whole text, in 64 bits."""
        text = b" ".join((*tokens.words, *tokens.characters))
        return int.from_bytes(hmac.digest(self.secret, text, hashlib.sha256)[:8], "little")

    def shingles(self, tokens: Sequence[Tokens]) -> tuple[Fingerprints, Fingerprints]:
        """The hash of every run in texts that follow each other: of words, and of characters.

        Where the texts' own runs end does not matter: a run may reach from one text into the next.
        """
        words = [word for text in tokens for word in text.words]
        characters = [character for text in tokens for character in text.characters]
        return self._runs(words, length=SHINGLE), self._runs(characters, length=CHARACTER_SHINGLE)

    def winnowed(self, tokens: Tokens) -> Fingerprints:
        """The hashes of a text that are kept, each once, in ascending order."""
        runs = self._runs(tokens.words, length=SHINGLE)
        words = _winnow(runs[_weights(tokens.words, count=len(runs)) >= SHINGLE_LETTERS])
        characters = _winnow(self._runs(tokens.characters, length=CHARACTER_SHINGLE))
        return np.unique(np.concatenate((words, characters)))

    def _runs(self, tokens: Sequence[bytes], *, length: int) -> Fingerprints:
        count = len(tokens) - length + 1
        if count < 1:
            return np.empty(0, dtype=np.uint64)
        multiplier, start = (np.uint64(part | 1) for part in np.frombuffer(self.secret[:16], dtype="<u8").tolist())
        values = np.fromiter(map(crc32, tokens), dtype=np.uint64, count=len(tokens))
        values = _mix(values + start)
        total = np.zeros(count, dtype=np.uint64)
        for place in range(length):
            total *= multiplier
            total += values[place : place + count]
        return _mix(total)


def _weights(words: Sequence[bytes], *, count: int) -> npt.NDArray[np.intp]:
    """How many letters each of the `count` runs of words has."""
    lengths = (len(word) * (DIGIT_WEIGHT if word.isdigit() else 1) for word in words)
    ends = np.cumsum(np.fromiter(lengths, dtype=np.intp, count=len(words)))
    starts = np.concatenate((np.zeros(1, dtype=np.intp), ends))
    return ends[SHINGLE - 1 :] - starts[:count]


def _winnow(hashes: Fingerprints) -> Fingerprints:
    if len(hashes) <= WINDOW:
        return hashes.min(keepdims=True) if len(hashes) else hashes
    kept: Fingerprints = np.lib.stride_tricks.sliding_window_view(hashes, WINDOW).min(axis=1)
    return kept


def _mix(values: Fingerprints) -> Fingerprints:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match.group(1), 16)) if match.group(1) else " "
