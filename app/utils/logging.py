"""Structured logs: one JSON object a line, or readable lines in a terminal, each with its request's and trace's ids."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import orjson

from app.utils.log_text import clean, clean_value, is_own, message_of, places_of, short_path
from app.utils.tracing import CURRENT

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

logger = logging.getLogger(__name__)

# Attributes that every record has; what a caller passes as `extra` is the rest.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}

# Libraries say what they did with whose text at these levels, so they stay silent below a warning.
CAPPED = (
    "aiohttp",
    "aiosqlite",
    "alembic",
    "asyncio",
    "chromadb",
    "httpcore",
    "httpx",
    "LiteLLM",
    "openai",
    "sqlalchemy",
)

# Fields that a terminal shows in other ways, or not at all.
UNSHOWN = frozenset({"time", "level", "logger", "message"})


class JSONFormatter(logging.Formatter):
    """One JSON object a line. Of an exception it holds the type and code locations, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        return orjson.dumps(_fields(record)).decode()


class TerminalFormatter(logging.Formatter):
    """The same fields for people."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        head = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {fields['message']}"
        shown = ((name, value) for name, value in fields.items() if name not in UNSHOWN and value is not None)
        return " ".join((head, *(f"{name}={value}" for name, value in shown)))


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines. Trouble with one is told without it: logging's own report would quote its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the library's name)
        with suppress(Exception):
            self.stream.write(f"a log record of {clean(record.name)} could not be written{self.terminator}")


def configure_logging(level: str, *, stream: TextIO | None = None) -> None:
    """Send every logger's records through one handler; our own at `level`, libraries' from a warning on.

    `stream` is the standard error unless another one is given.
    """
    handler = LineHandler(stream or sys.stderr)
    handler.setFormatter(TerminalFormatter() if handler.stream.isatty() else JSONFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    take_over_loggers()
    logging.getLogger("app").setLevel(level)
    for name in CAPPED:
        logging.getLogger(name).setLevel(logging.WARNING)


def take_over_loggers() -> None:
    """Let every logger that there is write through the root's handler, at warnings and above; see `CAPPED`.

    For a library that is imported later and brings handlers of its own, this is to be called again.
    """
    for name, known in logging.root.manager.loggerDict.items():
        if isinstance(known, logging.Logger) and name.partition(".")[0] != "app":
            known.handlers, known.propagate = [], True
            if known.level:
                known.setLevel(max(known.level, logging.WARNING))


def log_uncaught() -> None:
    """Have this process's uncaught exceptions logged, whose tracebacks Python would print with their texts."""

    def hook(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if not issubclass(kind, (KeyboardInterrupt, SystemExit)):
            logger.critical("uncaught error", exc_info=(kind, error or kind(), trace))

    def thread_hook(given: threading.ExceptHookArgs) -> None:
        hook(given.exc_type, given.exc_value, given.exc_traceback)

    def unraisable_hook(given: UnraisableHookArgs) -> None:
        hook(given.exc_type, given.exc_value, given.exc_traceback)

    sys.excepthook, threading.excepthook, sys.unraisablehook = hook, thread_hook, unraisable_hook


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": record.created,
        "level": record.levelname,
        "logger": clean(record.name or ""),
        "message": clean(message_of(record)),
        "request_id": REQUEST_ID.get(),
    }
    span = CURRENT.get()
    if span is not None and span.context is not None:
        fields["trace_id"] = span.context.trace_id.hex()
    if is_own(record):
        given = ((name, value) for name, value in vars(record).items() if name not in STANDARD)
        fields.update({name: clean_value(value) for name, value in given})
    else:
        fields["at"] = f"{short_path(record.pathname)}:{record.lineno}"
    if record.exc_info and record.exc_info[0]:
        fields["error_type"] = record.exc_info[0].__name__
        fields["error_at"] = places_of(record.exc_info[2])
    return fields
