"""Text that must not turn up where it does not belong, and ways to find it in whatever form it does."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

ONSETS = ("b", "br", "d", "dr", "f", "fl", "g", "gl", "k", "kl", "m", "n", "p", "pl", "qu", "r", "sk", "sn", "v", "z")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ou")
CODAS = ("", "b", "f", "l", "m", "n", "nd", "r", "rk", "sk", "x")
SYLLABLES = 4


# Words that no detector can know


def invent_word(chance: random.Random) -> str:
    """A pronounceable word of about ten letters that no dictionary, pattern or entropy test stands out on."""
    syllables = (
        chance.choice(ONSETS) + chance.choice(VOWELS) + (chance.choice(CODAS) if last else "")
        for last in [False] * (SYLLABLES - 1) + [True]
    )
    return "".join(syllables)


def invent_words(count: int, *, seed: int) -> list[str]:
    """Distinct words, none of them part of another, so that each can be searched for on its own."""
    chance = random.Random(seed)
    words: list[str] = []
    while len(words) < count:
        word = invent_word(chance)
        if not any(word in other or other in word for other in words):
            words.append(word)
    return words


# Values that look like secrets or identifiers and belong to nobody


def _characters(chance: random.Random, alphabet: str, *, count: int) -> str:
    return "".join(chance.choices(alphabet, k=count))


def openai_key(chance: random.Random) -> str:
    return "sk-" + "proj-" + _characters(chance, string.ascii_letters + string.digits, count=48)


def aws_access_key(chance: random.Random) -> str:
    return "AK" + "IA" + _characters(chance, string.ascii_uppercase + "234567", count=16)


def github_token(chance: random.Random) -> str:
    return "gh" + "p_" + _characters(chance, string.ascii_letters + string.digits, count=36)


def private_key(chance: random.Random) -> str:
    """PEM of random bytes; it has the form of a key and is none."""
    lines = [base64.b64encode(chance.randbytes(48)).decode() for _ in range(4)]
    kind = "PRIVATE " + "KEY"
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])


def json_web_token(chance: random.Random) -> str:
    header = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    claims = json.dumps({"sub": str(chance.randrange(10**9))}).encode()
    parts = (header, claims, chance.randbytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def password(chance: random.Random) -> str:
    return _characters(chance, string.ascii_letters + string.digits + "!%&+=?", count=14)


def database_url(chance: random.Random) -> str:
    return f"postgresql://app:{quote(password(chance), safe='')}@db.corp.{invent_word(chance)}.net:5432/orders"


def card_number(chance: random.Random, *, prefix: str = "4", length: int = 16) -> str:
    """Digits with a right Luhn check digit; `prefix` picks the issuer's range."""
    body = prefix + _characters(chance, string.digits, count=length - len(prefix) - 1)
    return body + str(_luhn_digit(body))


def _luhn_digit(body: str) -> int:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled and its own digits added."""
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body))]
    return -sum(number - 9 if number > 9 else number for number in doubled) % 10


def iban(chance: random.Random, *, country: str = "DE", digits: int = 18) -> str:
    """An IBAN whose check digits are right (ISO 13616: 98 less the rest of the rearranged number by 97)."""
    account = _characters(chance, string.digits, count=digits)
    letters = "".join(str(int(letter, 36)) for letter in country)
    check = 98 - int(f"{account}{letters}00") % 97
    return f"{country}{check:02d}{account}"


def social_security_number(chance: random.Random) -> str:
    """A US number in a range that was issued: area below 666, no group or serial of zeros."""
    return f"{chance.randint(1, 665):03d}-{chance.randint(1, 99):02d}-{chance.randint(1, 9999):04d}"


SECRETS: Mapping[str, Callable[[random.Random], str]] = {
    "openai_key": openai_key,
    "aws_access_key": aws_access_key,
    "github_token": github_token,
    "private_key": private_key,
    "json_web_token": json_web_token,
    "database_url": database_url,
}


# Finding them


def _plain_forms(canary: str) -> Iterator[tuple[str, bytes]]:
    """Spellings that are compared without regard to the case of ASCII letters."""
    raw = canary.encode()
    escaped = json.dumps(canary)[1:-1]
    yield "plain", raw
    yield "utf-16-le", canary.encode("utf-16-le")
    yield "utf-16-be", canary.encode("utf-16-be")
    yield "JSON", escaped.encode()
    yield "JSON in UTF-8", json.dumps(canary, ensure_ascii=False)[1:-1].encode()
    yield "JSON within JSON", json.dumps(escaped)[1:-1].encode()
    yield "JSON with every character escaped", "".join(f"\\u{ord(character):04x}" for character in canary).encode()
    yield "URL", quote(canary, safe="").encode()
    yield "form", quote_plus(canary).encode()
    yield "URL with every byte escaped", "".join(f"%{byte:02x}" for byte in raw).encode()
    yield "HTML", html.escape(canary).encode()
    yield "Python", repr(canary)[1:-1].encode()
    yield "hexadecimal", raw.hex().encode()
    yield "reversed", raw[::-1]


def _base64_forms(canary: str) -> Iterator[tuple[str, bytes]]:
    """What base64 makes of the canary wherever it stands in a longer text: one form for each of three alignments.

    A character of base64 carries six bits; those that mix bits of the canary with bits of its neighbours are left out.
    """
    raw = canary.encode()
    for offset in range(3):
        bits = 8 * offset
        encoded = base64.b64encode(bytes(offset) + raw)
        inner = encoded[-(-bits // 6) : (bits + 8 * len(raw)) // 6]
        yield f"base64 at offset {offset}", inner
        yield f"URL-safe base64 at offset {offset}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def find_canary(canary: str, *, within: bytes) -> list[str]:
    """Names of the forms in which the canary occurs; of forms that are spelt alike, only the first."""
    lowered = within.lower()
    plain: dict[bytes, str] = {}
    for name, form in _plain_forms(canary):
        plain.setdefault(form.lower(), name)
    exact: dict[bytes, str] = {}
    for name, form in _base64_forms(canary):
        exact.setdefault(form, name)
    return [name for form, name in plain.items() if form in lowered] + [
        name for form, name in exact.items() if form in within
    ]


def assert_no_canary(canaries: str | Iterable[str], **places: bytes) -> None:
    """Fail with the form and the place if any canary is in any of the places, which are named by their keywords."""
    words = [canaries] if isinstance(canaries, str) else list(canaries)
    assert words, "no canary to look for"
    assert places, "nowhere to look"
    found = [
        f"{word!r} as {form} in {place}"
        for word in words
        for place, content in places.items()
        for form in find_canary(word, within=content)
    ]
    assert not found, "leaked: " + "; ".join(found)
