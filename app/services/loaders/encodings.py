"""From bytes to characters: Unicode where it is Unicode, the likeliest legacy encoding where it is not."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final

from chardetng_py import EncodingDetector  # type: ignore[import-untyped]  # its stubs come without py.typed

_BYTE_ORDER_MARKS: Final = (
    # The mark of UTF-32 begins with that of UTF-16, so it is looked for first.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Web browsers read these names as the larger sets that such text is really written in.
_SUPERSETS: Final = {"shift_jis": "cp932", "euc-kr": "cp949", "gbk": "gb18030", "iso-8859-8-i": "iso-8859-8"}
_SAMPLE: Final = 64 * 1024
# Shares of zeros among the high and the low bytes of text in UTF-16.
_MANY_ZEROS: Final = 0.4
_FEW_ZEROS: Final = 0.05
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
# Bytes that text has in UTF-16 and in no encoding that ASCII is a part of, but for a stray one.
_CONTROL: Final = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_CONTROL_SHARE: Final = 0.005
# Blanks, line breaks, digits, and the marks of Chinese and Japanese sentences: read in the wrong order they are none.
_COMMON: Final = re.compile("[ \t\r\n.,0-9\u3001\u3002\uff0c\uff01\uff1f\u300c\u300d]")
_NO_TEXT: Final = frozenset({"Cn", "Co", "Cs", "Cc"})
# ISO/IEC 2022 by its escape sequences (RFC 1468, RFC 1557): the rest of such text is ASCII to the eye.
_ESCAPED: Final = ((b"\x1b$B", "iso2022_jp_ext"), (b"\x1b$@", "iso2022_jp_ext"), (b"\x1b$)C", "iso2022_kr"))

_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f\u00ad\ufeff\ufffe\uffff\ud800-\udfff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LINE_BREAK: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# The look-behind lets a long run of blanks be tried once instead of once for each of its characters.
_TRAILING_BLANKS: Final = re.compile(r"(?<![ \t])[ \t]++(?=\n)")
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def marked_encoding(data: bytes) -> str | None:
    """The Unicode encoding that a byte order mark names."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), None)


def unmarked_unicode(data: bytes) -> str | None:
    """UTF-32 or UTF-16 without a mark: by zeros where code points are small, else by what the text would be."""
    sample = data[: min(len(data) // 4 * 4, _SAMPLE)] or data
    if 4 * sample.count(0) >= len(sample):
        utf32 = next((order for order in ("utf-32-le", "utf-32-be") if _read(sample, encoding=order)), None)
        if utf32 is not None:
            return utf32
    half = max(len(sample) // 2, 1)
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if max(even, odd) >= _MANY_ZEROS and min(even, odd) <= _FEW_ZEROS:
        return "utf-16-le" if odd > even else "utf-16-be"
    besides = sample.replace(b"\x00", b"")
    is_text = _read(besides, encoding="utf-8") and not _CONTROL.search(besides)
    few_controls = len(_CONTROL.findall(sample)) <= _CONTROL_SHARE * len(sample)
    return None if is_text or few_controls else _likeliest_utf16(sample)


def _likeliest_utf16(sample: bytes) -> str | None:
    """The byte order in which all of the sample is text, with the more blanks and marks."""
    texts = {order: _read(sample, encoding=order) for order in ("utf-16-le", "utf-16-be")}
    common = {order: len(_COMMON.findall(text)) for order, text in texts.items() if text and _is_text(text)}
    best = max(common, key=lambda order: common[order], default=None)
    return best if best is not None and common[best] > 0 else None


def _read(sample: bytes, *, encoding: str) -> str:
    """The sample in this encoding, nothing if it is not in it; a character that its end cuts off does not count."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return ""


def _is_text(text: str) -> bool:
    return all(character in "\t\r\n\x0c" or unicodedata.category(character) not in _NO_TEXT for character in set(text))


def decode(data: bytes, *, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The text of `data` and warnings on how sure that is.

    In this order: a byte order mark, UTF-16 and UTF-32 by their zeros, the escape sequences of ISO 2022, UTF-8 if it is
    valid, the encoding that the document declares for itself, UTF-8 with a few damaged bytes, the likeliest legacy
    encoding.
    """
    unicode_encoding = marked_encoding(data) or unmarked_unicode(data)
    if unicode_encoding is not None:
        return _decode_damaged(data, encoding=unicode_encoding)
    if (escaped := _decode_escaped(data)) is not None:
        return escaped
    try:
        text = data.decode("utf-8", errors="surrogatepass")
    except UnicodeDecodeError:
        pass
    else:
        joined = join_surrogates(text)
        return joined, ("invalid_bytes_replaced",) if joined != text and "\ufffd" in joined else ()
    if declared is not None and _is_text_encoding(declared):
        return _decode_damaged(data, encoding=declared)
    if _is_mostly_utf8(data):
        return _decode_damaged(data, encoding="utf-8")
    encoding = _likeliest_legacy(data)
    return data.decode(encoding, errors="replace"), (f"encoding_guessed:{encoding}",)


def clean(text: str) -> str:
    """One kind of line break, composed characters, nothing unprintable, at most one blank line in a row."""
    text = _LINE_BREAK.sub("\n", text)
    text = _UNPRINTABLE.sub("", text)
    text = _TRAILING_BLANKS.sub("", text)
    text = _BLANK_LINES.sub("\n\n", text)
    return unicodedata.normalize("NFC", text).strip()


def _decode_damaged(data: bytes, *, encoding: str) -> tuple[str, tuple[str, ...]]:
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError:
        return data.decode(encoding, errors="replace"), ("invalid_bytes_replaced",)


def _decode_escaped(data: bytes) -> tuple[str, tuple[str, ...]] | None:
    encoding = next((name for sequence, name in _ESCAPED if sequence in data[:_SAMPLE]), None)
    try:
        return (data.decode(encoding), (f"encoding_guessed:{encoding}",)) if encoding else None
    except UnicodeDecodeError:
        return None


def join_surrogates(text: str) -> str:
    """The text with characters for pairs of surrogates, which some programs write, and U+FFFD for lone ones."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")


def _is_text_encoding(name: str) -> bool:
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return found.name not in {"utf-8", "utf-16", "utf-32"} and getattr(found, "_is_text_encoding", True)


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether most of what is not ASCII are valid UTF-8 sequences, which no other encoding produces by chance."""
    text = data[: 16 * _SAMPLE].decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    valid = sum(1 for character in text if character > "\x7f") - damaged
    return valid > damaged


def _likeliest_legacy(data: bytes) -> str:
    """The guess that Firefox would make, as the superset that Python has of it."""
    detector = EncodingDetector()
    detector.feed(_telling_sample(data), last=True)
    guess = detector.guess(tld=None, allow_utf8=False).lower()
    encoding = _SUPERSETS.get(guess, guess)
    return encoding if _is_text_encoding(encoding) else "cp1252"


def _telling_sample(data: bytes) -> bytes:
    """The part of a long text around its first byte that is not ASCII: the rest says nothing on the encoding."""
    first = _NOT_ASCII.search(data)
    start = data.rfind(b"\n", 0, first.start()) + 1 if first else 0
    return data[start : start + _SAMPLE]
