"""A parsing process whose documents say what it shall suffer: the media type names the misfortune."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from app.services.loaders import LoadError, ParsedDocument, Section
from app.services.loaders.worker import main


def loop(data: bytes) -> None:
    while data is not None:
        pass


def recurse(data: bytes) -> None:
    recurse(data)


def refuse(data: bytes) -> None:
    raise LoadError("encrypted")


def fail(data: bytes) -> None:
    raise KeyError(data)


MISFORTUNES: Mapping[str, Callable[[bytes], object]] = {
    "loop": loop,
    "sleep": lambda _: signal.pause(),
    "allocate": lambda _: bytearray(1 << 40),
    "fill": lambda _: len(b"x" * (128 << 20)),
    "die": lambda data: os.kill(os.getpid(), signal.Signals[data.decode()]),
    "recurse": recurse,
    "refuse": refuse,
    "raise": fail,
    "print": lambda data: sys.stdout.write(data.decode()) and sys.stdout.flush(),
    "connect": lambda data: socket.create_connection(("127.0.0.1", int(data))),
    "run": lambda _: subprocess.run([sys.executable, "-c", "pass"], check=True),
    "write": lambda data: Path(data.decode()).write_text("x", encoding="ascii"),
}


def load(data: bytes, *, media_type: str, filename: str | None) -> ParsedDocument:
    if media_type in MISFORTUNES:
        MISFORTUNES[media_type](data)
    facts = {"pid": os.getpid(), "environment": sorted(os.environ), "filename": filename}
    sections = (Section(text=data.decode(), page=7, heading=("a", "b")), Section(text="x" * (3 << 20)))
    return ParsedDocument(title=repr(facts), media_type=media_type, sections=sections, warnings=("w:1",))


if __name__ == "__main__":
    main(load)
