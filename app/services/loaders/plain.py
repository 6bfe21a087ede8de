"""Plain text in any encoding."""

from __future__ import annotations

import re
from typing import Final

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.encodings import decode
from app.services.loaders.media import PLAIN

# Fields of a fixed width are padded by them, and lists of names separated.
_ZEROS: Final = re.compile("\x00+")


def load_plain(data: bytes) -> ParsedDocument:
    """One section that is the whole text."""
    text, warnings = decode(data)
    text = _ZEROS.sub(" ", text)
    return ParsedDocument(title=None, media_type=PLAIN, sections=(Section(text=text),), warnings=warnings)
