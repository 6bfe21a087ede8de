"""How many tokens a text takes, by the family of the model's tokenizer, where the tokenizer itself is not here.

The count is a weighted sum of what tokenizers make tokens of: starts of words, letters, digits, runs of punctuation,
signs of each script. `scripts/calibrate_tokens.py` fits the weights to real tokenizers and prints how far off they are.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import mul

# A sign of text is one byte here: a class for each ASCII byte and for each first byte of a longer UTF-8 sequence
# (RFC 3629, section 3), whose other bytes are dropped. Neighbouring first bytes are neighbouring scripts.
_CLASSES = (
    (range(33), b"n"),
    (b" ", b" "),
    (b"0123456789", b"0"),
    (range(0x61, 0x7B), b"a"),
    (range(0x41, 0x5B), b"A"),
    (range(0xC2, 0xCE), b"l"),
    (range(0xCE, 0xD5), b"g"),  # Greek and Cyrillic
    (range(0xD5, 0xE0), b"h"),  # Armenian, Hebrew, Arabic
    (range(0xE0, 0xE1), b"i"),  # the scripts of India, Thai, Lao
    (range(0xE1, 0xE2), b"j"),  # Georgian, Ethiopic, Khmer, Vietnamese letters
    (range(0xE2, 0xE3), b"p"),  # typographic signs
    (range(0xE3, 0xE4), b"k"),  # Kana
    (range(0xE4, 0xEA), b"c"),  # Chinese characters
    (range(0xEA, 0xEE), b"o"),  # Hangul
    (range(0xEE, 0xF0), b"p"),
    (range(0xF0, 0xF8), b"e"),  # emoji and rare scripts
)
_CLASS_OF = bytes(
    next((sign[0] for members, sign in reversed(_CLASSES) if byte in members), ord(".")) for byte in range(256)
)
_REST_OF_A_SIGN = bytes(range(0x80, 0xC0))
_ASCII_PATTERNS = (b"A", b"0", b" 0", b".0", b"n0", b"a0", b"A0", b".", b" .", b"n.", b"a.", b"A.", b"0.", b"n", b"  ")
_SCRIPTS = (b"l", b"g", b"h", b"i", b"j", b"p", b"k", b"c", b"o", b"e")
_NO_SCRIPTS = (0,) * len(_SCRIPTS)

# What is counted, in the order of the weights.
FEATURES = (
    "words", "letters", "capitals", "digits", "numbers", "punctuation", "runs of it", "line breaks", "wide spaces",
    "Latin beyond ASCII", "Greek, Cyrillic", "Hebrew, Arabic", "India, Thai", "Georgian and others", "typographic",
    "Kana", "Chinese", "Hangul", "emoji",
)  # fmt: skip


class Family(enum.StrEnum):
    """Tokenizers that count alike. `CL100K` stands for those that are not known, Llama's and Qwen's among them."""

    O200K = "o200k"
    CL100K = "cl100k"
    CLAUDE = "claude"


# Tokens for one of each of `FEATURES`.
WEIGHTS: Mapping[Family, tuple[float, ...]] = {
    Family.O200K: (
        0.88, 0.042, 0.16, 0.15, 1.54, 0.25, 0.36, 0.52, 0.28, 2.74, 0.52, 1.39, 0.74, 2.54, 1.48, 1.1, 0.79, 1.12, 6.7,
    ),
    Family.CL100K: (
        0.88, 0.044, 0.15, 0.12, 1.5, 0.21, 0.46, 0.4, 0.29, 3.53, 0.82, 2.79, 1.67, 3.59, 2.04, 1.5, 1.22, 1.57, 6.04,
    ),
    Family.CLAUDE: (
        0.93, 0.028, 0.12, 0.24, 0.45, 0.1, 1.03, 0.56, 0.08, 3.7, 0.89, 2.95, 2.29, 3.56, 1.39, 1.58, 1.13, 2.22, 4.71,
    ),
}  # fmt: skip

_FAMILIES = (
    (re.compile(r"(?:^|/)(?:gpt-(?:4o|4\.1|4\.5|[5-9]|oss)|chatgpt-|o\d)"), Family.O200K),
    (re.compile(r"claude"), Family.CLAUDE),
)

# A token for each Chinese, Japanese or Korean character, each four Latin letters or digits, each two letters of any
# other script, each mark of punctuation: more than byte-pair tokenizers make of prose, so what fits it fits the text.
_SPAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[0-9A-Za-z]{1,4}|\w{1,2}|[^\w\s]")


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """The family of a model, by its name or id."""
    return next((family for pattern, family in _FAMILIES if pattern.search(model)), Family.CL100K)


def count_tokens(text: str, *, family: Family = Family.CL100K) -> int:
    """The tokens of a text, estimated; texts of a kilobyte are some 5 % off, their sum less."""
    return weigh(features(text), family=family)


def weigh(counts: Sequence[int], *, family: Family) -> int:
    """The tokens of what `features` counted, rounded."""
    total: float = sum(map(mul, counts, WEIGHTS[family]))
    return round(total)


def features(text: str) -> tuple[int, ...]:
    """How many there are in the text of each of `FEATURES`."""
    signs = text.encode("utf-8", "surrogatepass").translate(_CLASS_OF, _REST_OF_A_SIGN)
    count = signs.count
    caps, digits, *number_starts, punctuation, b1, b2, b3, b4, b5, breaks, spaces = map(count, _ASCII_PATTERNS)
    letters = signs.replace(b"A", b"a")
    words = letters.count(b" a") + letters.count(b".a") + letters.count(b"na") + letters.count(b"0a")
    return (
        words + letters.startswith(b"a"),
        letters.count(b"a"),
        caps,
        digits,
        sum(number_starts) + signs.startswith(b"0"),
        punctuation,
        b1 + b2 + b3 + b4 + b5,
        breaks,
        spaces,
        *(_NO_SCRIPTS if text.isascii() else map(count, _SCRIPTS)),
    )


def token_spans(text: str) -> Sequence[tuple[int, int]]:
    """Character spans of tokens, in order and without overlap: more of them than there are, for cutting windows."""
    return [match.span() for match in _SPAN.finditer(text)]
