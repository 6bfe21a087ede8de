"""An estimate of the tokens of a text, for models whose tokenizer is not here."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A token for each Chinese, Japanese or Korean character, each four Latin letters or digits, each two letters of any
# other script, each mark of punctuation. Byte-pair tokenizers use fewer for English prose (about a token for 4.5
# characters, spaces included), so the estimate errs on the high side: a window that fits it fits the text.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[0-9A-Za-z]{1,4}|\w{1,2}|[^\w\s]")


def token_spans(text: str) -> Sequence[tuple[int, int]]:
    """Character spans of the estimated tokens, in order and without overlap."""
    return [match.span() for match in _TOKEN.finditer(text)]


def count_tokens(text: str) -> int:
    return sum(1 for _ in _TOKEN.finditer(text))
