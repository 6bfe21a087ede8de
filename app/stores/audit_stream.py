"""The audit trail as lines of standard output, for places that keep that and no files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

import orjson

from app.models import JSONValue


class AuditStream:
    """Writes each record at once, under a name that tells it from the log's lines; implements `AuditTrail`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def append(self, record: Mapping[str, JSONValue]) -> None:
        self._stream.write(orjson.dumps({"audit": record}).decode() + "\n")
        self._stream.flush()
