"""The framing between the service and its parsing process: a length of eight bytes, big-endian, then as many bytes.

A process that is ready says so by an empty frame. A request is two frames: JSON `{"media_type", "filename"}`, then the
document.

An answer begins with a frame of JSON: `{"error": code, "peak"}` or `{"title", "media_type", "warnings", "sections":
[{"length", "page", "heading"}], "peak"}`, where `length` is in characters and `peak` is the largest resident size of
the process so far, in bytes. After the latter come frames of UTF-8: the texts of the sections, one after the other,
in pieces of at most `PIECE` characters that each belong to one section.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

LENGTH: Final = struct.Struct(">Q")
# Small enough to decode without holding up an event loop.
PIECE: Final = 1 << 20


def write_frame(sink: BinaryIO, payload: bytes) -> None:
    sink.write(LENGTH.pack(len(payload)))
    sink.write(payload)


def read_frame(source: BinaryIO) -> bytes | None:
    """The next frame, or `None` at the end of the stream."""
    prefix = source.read(LENGTH.size)
    if len(prefix) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(prefix)
    return source.read(length)
