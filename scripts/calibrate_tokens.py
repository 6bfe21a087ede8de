"""Fit the weights of app/utils/tokens.py to real tokenizers, and print how far off the counts are.

    python scripts/calibrate_tokens.py FOLDER

FOLDER holds texts (*.txt, *.md, *.py, *.html, and *.jsonl with the fields `text` or `prompt`); each file is a source,
and each source counts alike. The tokenizers are those that litellm's package carries; none is downloaded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken
from tokenizers import Tokenizer

from app.utils.tokens import FEATURES, WEIGHTS, Family, features

STRETCH = 2_000
MOST_TEXTS = 800

Floats = npt.NDArray[np.float64]


def main(folder: Path) -> None:
    sources = {path.name: texts for path in sorted(folder.rglob("*.*")) if (texts := list(read(path))[:MOST_TEXTS])}
    table = np.array([features(text) for texts in sources.values() for text in texts], dtype=float)
    owner = np.array([name for name, texts in sources.items() for _ in texts])
    for family, count in counters().items():
        tokens = np.array([count(text) for texts in sources.values() for text in texts], dtype=float)
        weights = fit(table, tokens, owner)
        print(f"Family.{family.name}: ({', '.join(f'{weight:.3f}' for weight in weights)}),")
        print(f"| {family} | tokens | in force | fitted | fitted without it |")
        for name in sources:
            print(line(name, table=table, tokens=tokens, owner=owner, weights=weights, family=family))


def line(
    name: str, *, table: Floats, tokens: Floats, owner: npt.NDArray[np.str_], weights: Floats, family: Family
) -> str:
    """Estimated to real tokens of one source: by the weights in force, by those fitted, by those fitted without it."""
    mine = owner == name
    held_out = fit(table[~mine], tokens[~mine], owner[~mine])
    in_force = np.array(WEIGHTS.get(family, [0.0] * len(FEATURES)))
    real = tokens[mine].sum()
    ratios = (float((table[mine] @ each).sum() / real) for each in (in_force, weights, held_out))
    return f"| {name} | {real:.0f} | {' | '.join(f'{ratio:.3f}' for ratio in ratios)} |"


def fit(table: Floats, tokens: Floats, owner: npt.NDArray[np.str_]) -> Floats:
    """Least squares with weights that are not negative; what would be is left out, the most negative first."""
    totals = {name: tokens[owner == name].sum() for name in set(owner)}
    scale = 1 / np.sqrt(np.array([totals[name] for name in owner]) * np.maximum(tokens, 1))
    kept = list(range(table.shape[1]))
    while True:
        found = np.linalg.lstsq(table[:, kept] * scale[:, None], tokens * scale, rcond=None)[0]
        if found.min() >= 0:
            break
        del kept[int(found.argmin())]
    weights = np.zeros(table.shape[1])
    weights[kept] = found
    return weights


def counters() -> Mapping[Family, Callable[[str], int]]:
    """What counts the tokens of each family; the files are those in litellm's package, which is not imported."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        sys.exit("litellm is not installed: its package has the tokenizers.")
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    # Read by tiktoken, which would download what it does not find there.
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    o200k, cl100k = tiktoken.get_encoding("o200k_base"), tiktoken.get_encoding("cl100k_base")
    claude = Tokenizer.from_file(str(folder / "anthropic_tokenizer.json"))
    return {
        Family.O200K: lambda text: len(o200k.encode_ordinary(text)),
        Family.CL100K: lambda text: len(cl100k.encode_ordinary(text)),
        Family.CLAUDE: lambda text: len(claude.encode(text, add_special_tokens=False).ids),
    }


def read(path: Path) -> Iterator[str]:
    """The texts of a file: its records, or stretches of it."""
    if path.suffix == ".jsonl":
        for record in map(json.loads, path.read_text().splitlines()):
            text = record.get("text") or record.get("prompt")
            if text:
                yield text[:STRETCH]
    elif path.suffix in (".txt", ".md", ".py", ".html"):
        text = path.read_text(encoding="utf-8", errors="ignore")
        yield from (text[start : start + STRETCH] for start in range(0, len(text), STRETCH))


if __name__ == "__main__":
    if len(sys.argv) < 2:  # noqa: PLR2004  (the command and the folder)
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
