"""A real tokenizer to measure estimates with: OpenAI's cl100k_base, whose vocabulary litellm's package carries."""

from __future__ import annotations

import base64
import functools
import importlib.util
from pathlib import Path

import tiktoken

# The pattern and the file's name are tiktoken's own (`tiktoken_ext.openai_public`): the SHA-1 of the file's address.
PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"""
    r"""|\s+(?!\S)|\s"""
)
VOCABULARY = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"


@functools.cache
def _encoding() -> tiktoken.Encoding:
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers" / VOCABULARY
    ranks = {
        base64.b64decode(token): int(rank) for token, rank in (line.split() for line in path.read_bytes().splitlines())
    }
    return tiktoken.Encoding("cl100k_base", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})


def real_tokens(text: str) -> int:
    """How many tokens GPT-4 makes of the text."""
    return len(_encoding().encode_ordinary(text))
