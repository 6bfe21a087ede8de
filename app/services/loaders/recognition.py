"""Text recognition by tesseract, where the system has it: pictures in, text out, in bounded time."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# The parsing process has no search path of its own.
FOLDERS: Final = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
PAGE_SECONDS: Final = 60.0
# Less than one document may take, so that what was read until then is kept.
DOCUMENT_SECONDS: Final = 120.0
MOST_LANGUAGES: Final = 4
_LIST_SECONDS: Final = 10.0
_NO_LANGUAGES: Final = frozenset({"osd", "equ"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recogniser:
    """A tesseract and the languages it was installed with."""

    program: str
    languages: tuple[str, ...]

    @classmethod
    def find(cls, folders: tuple[str, ...] = FOLDERS) -> Recogniser | None:
        """The system's tesseract, `None` if it has none or one without a language."""
        program = shutil.which("tesseract", path=os.pathsep.join(folders))
        if program is None:
            return None
        listed = _run((program, "--list-langs"), b"", seconds=_LIST_SECONDS) or ""
        names = [line.strip() for line in listed.splitlines()[1:]]
        languages = sorted({name for name in names if name and name not in _NO_LANGUAGES}, key=_english_first)
        return cls(program=program, languages=tuple(languages[:MOST_LANGUAGES])) if languages else None

    def start(self, monotonic: Callable[[], float] = time.monotonic) -> Callable[[bytes], str]:
        """A reader for the pictures of one document; it reads nothing more once the document's time is over."""
        deadline = monotonic() + DOCUMENT_SECONDS

        def read(picture: bytes) -> str:
            left = min(PAGE_SECONDS, deadline - monotonic())
            command = (self.program, "stdin", "stdout", "-l", "+".join(self.languages))
            return (_run(command, picture, seconds=left) or "").replace("\f", "\n").strip() if left > 0 else ""

        return read


def _run(command: tuple[str, ...], given: bytes, *, seconds: float) -> str | None:
    """What the program prints, `None` if it fails or takes longer."""
    try:
        done = subprocess.run(  # noqa: S603  (as above)
            command,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=True,
            cwd=Path("/"),
            env={"OMP_THREAD_LIMIT": "1", "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace")


def _english_first(name: str) -> tuple[bool, str]:
    return (name != "eng", name)
