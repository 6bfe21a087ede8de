from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canaries import (
    SECRETS,
    assert_no_canary,
    card_number,
    find_canary,
    iban,
    invent_words,
    social_security_number,
)

ODD = 'quäl "sn\\ai" <fo&x>/plon'
ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.encode().upper(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "JSON": lambda text: json.dumps(text).encode(),
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False).encode(),
    "JSON twice": lambda text: json.dumps(json.dumps(text)).encode(),
    "URL": lambda text: quote(text, safe="").encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "repr": lambda text: repr(text).encode(),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("canary", ["brovantil", ODD])
def test_canary_is_found_in_every_encoding(canary: str, encode: Callable[[str], bytes]) -> None:
    assert find_canary(canary, within=b"before " + encode(canary) + b" after")


@given(before=st.text(max_size=9), behind=st.text(max_size=9))
def test_canary_is_found_in_base64_wherever_it_stands(before: str, behind: str) -> None:
    encoded = base64.b64encode(f"{before}brovantil{behind}".encode())
    assert any(form.startswith("base64") for form in find_canary("brovantil", within=encoded))


def test_failure_names_form_and_place() -> None:
    with pytest.raises(AssertionError, match="'brovantil' as plain in log"):
        assert_no_canary(["snelfia", "brovantil"], body=b"nothing", log=b"see Brovantil!")


def test_clean_places_pass() -> None:
    assert_no_canary("brovantil", body=b"brovan", log=base64.b64encode(b"brovanti"))


@pytest.mark.parametrize(("canaries", "places"), [([], {"body": b""}), ("brovantil", {})])
def test_search_for_nothing_or_nowhere_is_a_mistake(canaries: list[str] | str, places: dict[str, bytes]) -> None:
    with pytest.raises(AssertionError):
        assert_no_canary(canaries, **places)


def test_invented_words_are_plain_distinct_and_repeatable() -> None:
    words = invent_words(500, seed=1)
    assert words == invent_words(500, seed=1)
    assert len(set(words)) == 500
    assert all(re.fullmatch(r"[a-z]{8,20}", word) for word in words)


@pytest.mark.parametrize(("prefix", "length"), [("4", 16), ("37", 15), ("2221", 16), ("5018", 19)])
def test_card_numbers_pass_the_luhn_test(prefix: str, length: int) -> None:
    number = card_number(random.Random(length), prefix=prefix, length=length)
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    assert (sum(digits[::2]) + sum(doubled)) % 10 == 0
    assert number.startswith(prefix)
    assert len(number) == length


def test_ibans_have_a_rest_of_one() -> None:
    number = iban(random.Random(0))
    assert int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


@pytest.mark.parametrize("make", SECRETS.values(), ids=SECRETS)
def test_secrets_differ_by_seed_and_repeat_with_it(make: Callable[[random.Random], str]) -> None:
    assert make(random.Random(1)) == make(random.Random(1)) != make(random.Random(2))


def test_social_security_numbers_are_in_an_issued_range() -> None:
    area, group, serial = social_security_number(random.Random(3)).split("-")
    assert 0 < int(area) < 666
    assert int(group) * int(serial) > 0
