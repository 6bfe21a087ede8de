"""Which writing system a text uses: ranges of Unicode, as character classes for regular expressions."""

from __future__ import annotations

import re
from typing import Final

# Han, kana and Hangul: words of one or two characters, with no blanks between them or with endings grown on.
IDEOGRAPHIC: Final = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
)
# Thai, Lao, Burmese and Khmer: alphabets without blanks between words.
UNSPACED: Final = "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
ARABIC: Final = "\u0620-\u065f\u0670-\u06d3"
# Without its full stops and digits.
DEVANAGARI: Final = "\u0900-\u0963\u0970-\u097f"

_LETTER: Final = re.compile(r"[^\W\d_]")
_LATIN: Final = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]")


def latin_share(text: str) -> float:
    """The share of Latin letters among the letters of a text, in 0..1; 1 for a text without letters."""
    letters = len(_LETTER.findall(text))
    return len(_LATIN.findall(text)) / letters if letters else 1.0
