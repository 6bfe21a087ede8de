"""Writes the graph and what it needs into one folder of the environment: `python -m app.providers.minilm.build`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import onnx

from app.errors import ConfigurationError
from app.providers.minilm import files, graph


def build(*, source: Path, target: Path) -> None:
    """Build the graph from the published files in `source` into the folder `target`, unless it is there already.

    The folder appears complete or not at all, so any number of processes may build it at once. Raises
    `ConfigurationError` if the files are not the official ones or the folder cannot be written.
    """
    if target.exists():
        return
    files.verify(source)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
            finished = Path(scratch) / target.name
            _write(source, folder=finished)
            _publish(finished, target=target)
    except OSError as error:
        raise ConfigurationError(
            f"The embedded embedding model cannot be built in {target.parent} ({error.strerror}): "
            "run `make install` as the user who owns this environment."
        ) from error


def _write(source: Path, *, folder: Path) -> None:
    folder.mkdir()
    model = graph.build(files.read_tensors(source / files.WEIGHTS))
    # Weights in a file of their own are mapped by the runtime, so processes share them.
    onnx.save_model(model, folder / files.GRAPH, save_as_external_data=True, location="weights.bin")
    shutil.copyfile(source / files.TOKENIZER, folder / files.TOKENIZER)
    for file in folder.iterdir():
        # The environment may belong to root and serve another user; onnx leaves its data file private.
        file.chmod(0o644)
        with file.open("rb+") as written:
            os.fsync(written.fileno())


def _publish(finished: Path, *, target: Path) -> None:
    try:
        finished.rename(target)
    except OSError:
        # A folder that holds something is never replaced: another process was first, and its graph is the same.
        if not target.exists():
            raise


def main() -> int:
    """Build into this environment; returns the exit status."""
    target = files.built_folder()
    try:
        build(source=files.published_folder(), target=target)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line prints.
        return 1
    print(f"{files.FINGERPRINT} in {target}")  # noqa: T201 - a command line prints.
    return 0


if __name__ == "__main__":
    sys.exit(main())
