"""Structured logs: one JSON object a line, or readable lines in a terminal, with the request's id on each."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import TextIO

import orjson

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

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


class JSONFormatter(logging.Formatter):
    """One JSON object a line. Of an exception it holds the type and our own code locations, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        return orjson.dumps(_fields(record), default=str).decode()


class TerminalFormatter(logging.Formatter):
    """The same fields for people."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        head = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {fields.pop('message')}"
        hidden = ("time", "level", "logger")
        rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in hidden and value is not None)
        return f"{head} {rest}".rstrip()


def configure_logging(level: str, *, stream: TextIO = sys.stderr) -> None:
    """Send every logger's records through one handler; our own at `level`, libraries' from a warning on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TerminalFormatter() if stream.isatty() else JSONFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("app").setLevel(level)
    for name in CAPPED:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": record.created,
        "level": record.levelname,
        "logger": record.name,
        "message": _message(record),
        "request_id": REQUEST_ID.get(),
    }
    fields.update({name: value for name, value in vars(record).items() if name not in STANDARD})
    if record.exc_info and record.exc_info[0]:
        fields["error_type"] = record.exc_info[0].__name__
        fields["error_at"] = _locations(record)
    return fields


def _message(record: logging.LogRecord) -> str:
    """The message; of a traceback that a library made a text of, only the error's type; of ours, its own words."""
    text = record.getMessage()
    if not text.startswith("Traceback"):
        return text
    name, _, words = text.strip().rpartition("\n")[2].partition(": ")
    kind = name.rpartition(".")[2]
    return f"Sluice does not start: {words}" if kind == "ConfigurationError" else f"failed with {kind}"


def _locations(record: logging.LogRecord) -> list[str]:
    """Where in our own code the exception passed, innermost last."""
    found = []
    step = record.exc_info[2] if record.exc_info else None
    while step is not None:
        code = step.tb_frame.f_code
        if "/app/" in code.co_filename and "site-packages" not in code.co_filename:
            found.append(f"{code.co_filename.rpartition('/app/')[2]}:{step.tb_lineno}")
        step = step.tb_next
    return found
