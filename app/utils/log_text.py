"""What of a log record may be shown: our own words and values, and of libraries what stands in their source.

A library's message may quote a prompt, a statement with its parameters or a header; so may the text of any exception
and any object that a library puts into a message. What it wrote into its own source it cannot have from a client.
"""

from __future__ import annotations

import linecache
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

OWN = "app"
LONGEST = 2000

# What ends a line, moves a terminal's cursor, turns the direction of text round or is no character at all: C0 and C1
# controls, line and paragraph separators, directional marks, halves of surrogate pairs, byte order marks.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]")

IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
REFUSED_START = re.compile(r"(?:[\w.]+\.)?ConfigurationError: (.*)", re.ASCII)
# As `warnings.formatwarning` writes them.
WARNING = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+): (?P<category>[A-Za-z_]\w*): ", re.ASCII)
HIDDEN = "a library's message, whose text is not shown"


def clean(text: str) -> str:
    """The text on one line, with whatever a terminal or a reader of lines could take for more than text escaped."""
    if text.isprintable() and len(text) <= LONGEST:
        return text
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def clean_value(value: object) -> object:
    """A value as JSON has it; of what is none of its kinds, the type alone."""
    match value:
        case str():
            return clean(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(clean_value(name)): clean_value(each) for name, each in value.items()}
        case Sequence() | set() | frozenset() if not isinstance(value, (bytes, bytearray, memoryview)):
            return [clean_value(each) for each in value]
        case _:
            return type(value).__name__


def is_own(record: logging.LogRecord) -> bool:
    return (record.name or "").partition(".")[0] == OWN


def message_of(record: logging.LogRecord) -> str:
    """What the record says; see above for what of a library's is shown."""
    text = _text_of(record)
    if text.startswith("Traceback"):
        return _last_words(text)
    if is_own(record):
        return text
    if record.name == "py.warnings":
        return _warning(text)
    template = record.msg if isinstance(record.msg, str) else ""
    return template.strip() if template.strip() and _stands_in_source(record, template) else HIDDEN


def _text_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a library's arguments may not fit, or fail when they are written out
        return str(record.msg) if isinstance(record.msg, str) else ""


def _stands_in_source(record: logging.LogRecord, template: str) -> bool:
    """Whether the text is a literal where it was logged: one that was put together there stands in no source."""
    near = linecache.getlines(record.pathname)[max(0, record.lineno - 3) : record.lineno + 8]
    literal = template.encode("unicode_escape").decode()
    return any(literal in line or template in line for line in near)


def _last_words(text: str) -> str:
    """Of a traceback that a library made a text of, only the error's type; of ours at the start, its own words."""
    last = text.strip().rpartition("\n")[2]
    if refused := REFUSED_START.fullmatch(last):
        return f"Sluice does not start: {refused[1]}"
    kind = last.partition(":")[0].rpartition(".")[2]
    return f"failed with {kind if IDENTIFIER.fullmatch(kind) else 'an error'}"


def _warning(text: str) -> str:
    """The category of a Python warning and where it was given; its words may be anybody's."""
    found = WARNING.match(text)
    return HIDDEN if found is None else f"{found['category']} at {short_path(found['file'])}:{found['line']}"


def places_of(trace: TracebackType | None) -> list[str]:
    """Where in our own code an exception passed, innermost last; if it never did, where it was raised."""
    passed = [(frame.f_code.co_filename, line) for frame, line in walk_tb(trace)]
    own = [(file, line) for file, line in passed if is_own_file(file)]
    return [f"{short_path(file)}:{line}" for file, line in own or passed[-1:]]


def is_own_file(file: str) -> bool:
    return f"/{OWN}/" in file and "site-packages" not in file


def short_path(file: str) -> str:
    """A file as a reader knows it: below our own package, or below where libraries lie."""
    for folder in ("/site-packages/", f"/{OWN}/" if is_own_file(file) else ""):
        if folder and folder in file:
            return clean(file.rpartition(folder)[2])
    return clean("/".join(Path(file).parts[-2:]))
