"""Texts in `data:` URLs (RFC 2397): taken out here, so that they are classified and sent as text."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

from app.services.loaders.encodings import marked_encoding

LONGEST_TEXT = 1_000_000
_DATA_URL = re.compile(r"data:(?P<type>[^,;]*)(?P<parameters>(?:;[^,;]*)*),", re.IGNORECASE)
_TEXT_TYPE = re.compile(
    r"text/.+|application/(?:json|ld\+json|x-ndjson|ndjson|jsonl|xml|x?html\+xml|yaml|x-yaml|toml|x-toml|javascript"
    r"|ecmascript|typescript|sql|graphql|csv|x-sh|x-httpd-php|x-python)|.+\+(?:json|xml|yaml)",
    re.IGNORECASE,
)
_CHARSET = re.compile(r";charset=\"?([\w.:+-]+)\"?", re.IGNORECASE)
_IMAGE_URL = re.compile(r"https://|data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")
_CONTROL = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f]")

NOT_TEXT = (
    "only text is taken as a file, as a data: URL with a type such as text/plain or application/json; "
    "put other files in with POST /documents"
)
NO_IMAGE = "an image is an https: URL, or a data: URL with a PNG, JPEG, GIF or WebP in base64"
NOT_READABLE = "this data: URL does not hold the text that it says it holds"
TOO_LONG = f"the text of a data: URL has at most {LONGEST_TEXT:,} characters"


def is_text(url: str) -> bool:
    """Whether a URL says that it holds text itself; without a type it does."""
    found = _DATA_URL.match(url)
    return found is not None and (not found["type"] or _TEXT_TYPE.fullmatch(found["type"].strip()) is not None)


def read_text(url: str) -> str:
    """The text that a `data:` URL holds; raises `ValueError`, in words for the caller, if there is none."""
    found = _DATA_URL.match(url)
    if found is None or not is_text(url):
        raise ValueError(NOT_TEXT)
    text = _decode(url[found.end() :], parameters=found["parameters"])
    if len(text) > LONGEST_TEXT:
        raise ValueError(TOO_LONG)
    return text


def check_image(url: str) -> str:
    """A URL that stands where an image does: of an image, or of a text; raises `ValueError` for any other."""
    if is_text(url):
        read_text(url)
    elif not _IMAGE_URL.match(url):
        raise ValueError(NO_IMAGE)
    return url


def _decode(data: str, *, parameters: str) -> str:
    try:
        content = unquote_to_bytes(data)
        if parameters.lower().endswith(";base64"):
            content = base64.b64decode(content, validate=True)
        charset = _CHARSET.search(parameters)
        text = content.decode(marked_encoding(content) or (charset[1] if charset else "utf-8"))
    except (ValueError, LookupError):  # what is no base64, no such encoding, or not in it
        raise ValueError(NOT_READABLE) from None
    if _CONTROL.search(text):
        raise ValueError(NOT_READABLE)
    return text
