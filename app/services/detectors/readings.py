"""Other readings of a text: escapes resolved, base64 and hexadecimal decoded, spaced-out characters drawn together."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.services.detectors.normalise import Rewriting, View, plain_view
from app.services.detectors.spoken import CHINESE_DIGITS, SPOKEN, SPOKEN_WORDS, as_digits

# The text that a match stands for, `None` if it stands for itself.
Read = Callable[[re.Match[str]], str | None]

_ESCAPE = re.compile(
    r"\\u(?P<unicode>[0-9a-fA-F]{4})|\\x(?P<byte>[0-9a-fA-F]{2})|%(?P<percent>[2-7][0-9a-fA-F])|&#(?P<decimal>\d{2,6});"
    r"|&#[xX](?P<hexadecimal>[0-9a-fA-F]{2,5});|\\(?P<control>[nrt])|\\(?P<sign>[\"'/\\])"
)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{16,})*={0,2}")
_BASE64_SIGNS = str.maketrans("-_", "+/", "\r\n=")
_HEXADECIMAL = re.compile(r"(?<![0-9a-fA-F])(?:0x)?(?P<pairs>(?:[0-9a-fA-F]{2}[ :]?){8,})(?![0-9a-fA-F])")
# Single characters with one space or one sign between any two of them.
_SPACED = re.compile(r"(?<!\S)\S(?: \S){7,}(?!\S)")
_DASHED = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]([-._*|])[A-Za-z0-9](?:\1[A-Za-z0-9]){6,}(?![A-Za-z0-9])")
# A key whose characters are written in groups of one length behind its prefix.
_GROUPED = re.compile(
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AIza|sk-(?:proj-|ant-)?|[rs]k_live_|gh[pousr]_|github_pat_|glpat-"
    r"|xox[abp]-|hf_|npm_|gsk_|SG\.|dop_v1_)\w{0,8}"
    r"(?:[ -]\w{2,8}){2,24}"
)
_KEY_PREFIXES = (
    "AKIA", "ASIA", "AIza", "sk-", "k_live_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-",
    "xox", "hf_", "npm_", "gsk_", "SG.", "dop_v1_",
)  # fmt: skip
# Three single characters in a row, which prose hardly ever has.
_SINGLES = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]([ \-._*|])[A-Za-z0-9]\1[A-Za-z0-9]\1[A-Za-z0-9](?![A-Za-z0-9])")
_REACH = 96
_DEEPEST = 2
_SHORTEST_DECODED = 8


def readings(view: View, *, depth: int = 0) -> Iterator[View]:
    """The view, and what is hidden in it: only the neighbourhood of what had to be rewritten."""
    yield view
    if depth < _DEEPEST:
        for search in _possible_searches(view):
            hidden = _rewritten(view, search)
            if hidden is not None:
                yield from readings(hidden, depth=depth + 1)


@dataclass(frozen=True, slots=True)
class _Search:
    """A pattern, what its matches stand for, and where to look for it: a view's text, or the same in lower case."""

    pattern: re.Pattern[str]
    read: Read
    text: str
    within: Sequence[tuple[int, int]] | None = None

    def matches(self) -> Iterator[re.Match[str]]:
        for start, end in self.within or ((0, len(self.text)),):
            yield from self.pattern.finditer(self.text, start, end)


def _possible_searches(view: View) -> Iterator[_Search]:
    """Those whose signs are in the text, by tests that cost less than the search itself."""
    text = view.text
    if view.long_tokens:
        blocks = _blocks(view)
        yield _Search(_BASE64, _decode_base64, text, blocks)
        yield _Search(_HEXADECIMAL, _decode_hexadecimal, text, blocks)
    if "\\" in text or "%" in text or "&#" in text:
        yield _Search(_ESCAPE, _unescape, text)
    if _SINGLES.search(text):
        yield _Search(_SPACED, _without_spaces, text)
        yield _Search(_DASHED, _without_signs, text)
    if len(SPOKEN_WORDS & view.words) > 1:
        yield _Search(SPOKEN, as_digits, view.lower)
    if view.is_unspaced:
        yield _Search(CHINESE_DIGITS, as_digits, text)
    if any(prefix in text for prefix in _KEY_PREFIXES):
        yield _Search(_GROUPED, _join_groups, text)


def _blocks(view: View) -> list[tuple[int, int]]:
    """The long tokens, those that follow each other line by line as one."""
    blocks: list[tuple[int, int]] = []
    for start, end in view.long_tokens:
        if blocks and view.text[blocks[-1][1] : start] in {"\n", "\r\n"}:
            blocks[-1] = blocks[-1][0], end
        else:
            blocks.append((start, end))
    return blocks


def _rewritten(view: View, search: _Search) -> View | None:
    rewriting = None
    for match in search.matches():
        plain = search.read(match)
        if plain is not None:
            rewriting = rewriting or Rewriting(view.text, parent=view, reach=_REACH)
            rewriting.replace(match.start(), match.end(), by=plain)
    return rewriting.view() if rewriting is not None else None


def _unescape(match: re.Match[str]) -> str | None:
    kind, value = match.lastgroup, match.group(match.lastgroup or 0)
    if kind == "control":
        return _CONTROLS[value]
    if kind == "sign":
        return value
    code = int(value) if kind == "decimal" else int(value, 16)
    return plain_view(chr(code)).text if code < 0x110000 and not 0xD800 <= code < 0xE000 else None


def _decode_base64(match: re.Match[str]) -> str | None:
    compact = match.group().translate(_BASE64_SIGNS)
    # At the front of a piece the encoding may be cut anywhere within its groups of four.
    for skipped in range(4 if match.start() == 0 else 1):
        text = _decode_groups(compact[skipped:])
        if text is not None:
            return text
    return None


def _decode_groups(compact: str) -> str | None:
    whole = compact[: len(compact) - (len(compact) % 4 == 1)]
    try:
        return _readable(base64.b64decode(whole + "=" * (-len(whole) % 4)))
    except binascii.Error:
        return None


def _decode_hexadecimal(match: re.Match[str]) -> str | None:
    return _readable(bytes.fromhex(match.group("pairs").replace(":", "").replace(" ", "")))


def _readable(data: bytes) -> str | None:
    """The bytes as text, if a person could read them."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    plain = text.replace("\n", " ").replace("\r", " ").replace("\t", " ")
    return plain_view(text).text if len(text) >= _SHORTEST_DECODED and plain.isprintable() else None


def _without_spaces(match: re.Match[str]) -> str | None:
    return match.group().replace(" ", "")


def _without_signs(match: re.Match[str]) -> str | None:
    return match.group().replace(match.group(1), "")


def _join_groups(match: re.Match[str]) -> str | None:
    _, *groups = re.split(r"[ -]", match.group().removeprefix("sk-"))
    return match.group().replace(" ", "") if len({len(group) for group in groups[:-1]}) == 1 else None
