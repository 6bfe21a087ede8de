"""ZIP packages, opened with bounds on what they unpack to."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Final

from app.services.loaders.document import LoadError

MAX_MEMBERS: Final = 10_000
MAX_UNPACKED_BYTES: Final = 512 << 20
MAX_MEMBER_BYTES: Final = 128 << 20
# Text in XML packs down to a fifth, tables to a fiftieth; what packs better and is not small is there to do harm.
MAX_RATIO: Final = 200
_SMALL_BYTES: Final = 32 << 20

# APPNOTE 4.3.16, end of central directory: signature, disks, entries, then the size and offset of the directory.
_DIRECTORY_END: Final = struct.Struct("<4s4H2LH")
_MAX_COMMENT: Final = 0xFFFF
_MAX_DIRECTORY_BYTES: Final = 2 << 20
_ENCRYPTED_FLAG: Final = 0x1


class Package:
    """The members of a ZIP file by name.

    Raises:
        LoadError: `corrupt` if it is not one, `too_large` beyond the bounds, by what it says of itself; no member
            unpacks to more than it says.
    """

    def __init__(self, data: bytes) -> None:
        _check_directory(data)
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
            raise LoadError("corrupt") from None
        self._members = {member.filename: member for member in self._file.infolist() if not member.is_dir()}
        unpacked = sum(member.file_size for member in self._file.infolist())
        if len(self._members) > MAX_MEMBERS or unpacked > max(
            _SMALL_BYTES, min(MAX_UNPACKED_BYTES, MAX_RATIO * len(data))
        ):
            raise LoadError("too_large")

    @property
    def names(self) -> Sequence[str]:
        """The names of all files, in the order of the directory."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, *, at_most: int = MAX_MEMBER_BYTES) -> bytes:
        """The bytes of a member.

        Raises:
            LoadError: `encrypted`, `too_large` if they are more than `at_most`, or `corrupt`, also if there is no such
                member.
        """
        member = self._members.get(name)
        if member is None:
            raise LoadError("corrupt")
        if member.flag_bits & _ENCRYPTED_FLAG:
            raise LoadError("encrypted")
        if member.file_size > at_most:
            raise LoadError("too_large")
        try:
            return self._file.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
            raise LoadError("corrupt") from None


def _check_directory(data: bytes) -> None:
    """Refuse a directory that is too long to be read, before it is."""
    position = data.rfind(b"PK\x05\x06", -(_DIRECTORY_END.size + _MAX_COMMENT))
    if position < 0 or position + _DIRECTORY_END.size > len(data):
        raise LoadError("corrupt")
    _, _, _, _, entries, size, _, _ = _DIRECTORY_END.unpack_from(data, position)
    if entries > MAX_MEMBERS or size > _MAX_DIRECTORY_BYTES:
        raise LoadError("too_large")
