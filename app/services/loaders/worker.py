"""The process that parses: `python -m app.services.loaders.worker PARENT MEMORY SECONDS`, frames in and frames out."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from app.services.loaders.document import LoadError, LoadErrorCode, ParsedDocument
from app.services.loaders.frames import PIECE, read_frame, write_frame
from app.services.loaders.loading import load
from app.services.loaders.recognition import Recogniser

Load = Callable[..., ParsedDocument]

_PR_SET_PDEATHSIG: Final = 1
_NICENESS: Final = 5
# A file that takes longer than its size explains keeps others waiting for no good.
_LEAST_SECONDS: Final = 15
_SECONDS_A_MEGABYTE: Final = 10
# What no parser has a reason to do: code that a document smuggled in stops here.
_FORBIDDEN_EVENTS: Final = ("socket.connect", "socket.bind", "subprocess.", "os.system", "os.exec", "os.posix_spawn")


def main(load: Load = load) -> None:
    """Serve the parent process whose id, memory limit (bytes) and processor time limit (seconds) are the arguments."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # The service hears of these too, and decides when the document in work is done.
        signal.signal(number, signal.SIG_IGN)
    parent, memory, seconds = (int(argument) for argument in sys.argv[1:4])
    _die_with(parent)
    recogniser = Recogniser.find()
    _confine(memory=memory, program=None if recogniser is None else recogniser.program)
    # Whatever a parser prints goes to standard error: standard output is for frames alone.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    write_frame(sink, b"")
    sink.flush()
    serve(sys.stdin.buffer, sink, load=_with(load, recogniser), seconds=seconds)


def serve(source: BinaryIO, sink: BinaryIO, *, load: Load, seconds: int) -> None:
    """Answer requests until the stream ends; the kernel ends the process when one takes more processor time."""
    while (head := read_frame(source)) is not None and (data := read_frame(source)) is not None:
        _allow_processor_time(min(seconds, _LEAST_SECONDS + _SECONDS_A_MEGABYTE * len(data) // 1_000_000))
        _answer(sink, _outcome(data, request=json.loads(head), load=load))
        sink.flush()


def _outcome(data: bytes, *, request: dict[str, str | None], load: Load) -> ParsedDocument | LoadErrorCode:
    try:
        return load(data, media_type=request["media_type"], filename=request["filename"])
    except LoadError as error:
        return error.code
    except (MemoryError, RecursionError):
        return "too_large"
    except Exception:  # noqa: BLE001 - a parser may raise anything over a damaged document
        return "corrupt"


def _answer(sink: BinaryIO, outcome: ParsedDocument | LoadErrorCode) -> None:
    if not isinstance(outcome, ParsedDocument):
        write_frame(sink, json.dumps({"error": outcome, "peak": _peak_memory()}).encode())
        return
    write_frame(sink, json.dumps(_head(outcome)).encode())
    for section in outcome.sections:
        for start in range(0, len(section.text), PIECE):
            write_frame(sink, section.text[start : start + PIECE].encode())


def _head(document: ParsedDocument) -> dict[str, Any]:
    return {
        "title": document.title,
        "media_type": document.media_type,
        "warnings": document.warnings,
        "sections": [
            {"length": len(section.text), "page": section.page, "heading": section.heading}
            for section in document.sections
        ],
        "peak": _peak_memory(),
    }


def _peak_memory() -> int:
    """The largest resident size so far in bytes, 0 where the system does not tell (`ru_maxrss` includes the parent)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _die_with(parent: int) -> None:
    """End when `parent` does, also in the middle of a document; elsewhere than on Linux at the next read."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent process has ended")


def _with(load: Load, recogniser: Recogniser | None) -> Load:
    return load if recogniser is None else functools.partial(load, recogniser=recogniser)


def _confine(*, memory: int, program: str | None) -> None:
    """Take away what no parser needs; `program` alone may still be run, under the same limits."""
    _lower_limit(resource.RLIMIT_AS, memory)
    _lower_limit(resource.RLIMIT_FSIZE, 0)
    _lower_limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICENESS)

    def forbid(event: str, arguments: tuple[object, ...]) -> None:
        allowed = event == "subprocess.Popen" and program is not None and arguments[0] == program
        if event.startswith(_FORBIDDEN_EVENTS) and not allowed:
            raise PermissionError("a document may not do this")

    sys.addaudithook(forbid)


def _lower_limit(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _allow_processor_time(seconds: int) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = used + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    main()
