"""Fingerprints: what two texts share, and what tells too little to be shared."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.fingerprints import SHINGLE, WINDOW, FingerprintKey, Tokens

KEY = FingerprintKey.derive(b"a secret of a test", tenant="acme")
LONG_WORDS = st.lists(st.from_regex(r"[a-z]{5,9}", fullmatch=True), min_size=SHINGLE + WINDOW - 1, max_size=30)


def shares(kept: str, said: str, *, key: FingerprintKey = KEY) -> bool:
    words, characters = key.shingles([Tokens.of(said)])
    return bool(np.isin(np.concatenate((words, characters)), KEY.winnowed(Tokens.of(kept))).any())


@given(shared=LONG_WORDS, before=LONG_WORDS, after=LONG_WORDS)
def test_two_texts_that_share_as_many_words_as_winnowing_promises_share_a_fingerprint(
    shared: list[str], before: list[str], after: list[str]
) -> None:
    kept = " ".join((*before, *shared, *after))
    assert shares(kept, " ".join(("quite", *shared, "different")))


@given(words=LONG_WORDS)
def test_two_texts_that_share_fewer_words_than_a_run_share_none(words: list[str]) -> None:
    short = words[: SHINGLE - 1]
    assert not shares(" ".join((*short, "0001", "0002")), " ".join((*short, "0003", "0004")))


def test_case_signs_accents_and_escapes_do_not_matter() -> None:
    kept = "The café décidé to sell the northern plant before December."
    assert shares(kept, "> the CAFE decide*, to (sell) the: northern — plant")
    assert shares(kept, r'{"text": "The caf\u00e9 d\u00e9cid\u00e9\nto sell the\tnorthern plant"}')
    assert shares(kept, "The ca\u200bfe decide to sell the nor\u00adthern plant before")


@pytest.mark.parametrize(
    "phrase", ["before the end of the year", "one of the best of all of the", "is it a lot or is it not"]
)
def test_runs_of_short_words_tell_too_little(phrase: str) -> None:
    assert not shares(f"{phrase}", f"Well, {phrase}!")


def test_numbers_tell_more_than_words() -> None:
    assert shares("the code of the safe is 4711", "so the code of the safe is 4711")


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    kept = "董事会在昨天的会议上决定把北方的工厂卖给竞争对手，价格为三亿元。"
    assert shares(kept, f"他说：{kept[2:20]}")
    assert not shares(kept, "董事会在昨天的会议")


def test_without_the_key_nothing_is_recognised() -> None:
    text = "The board decided to sell the northern plant before December."
    assert shares(text, text)
    assert not shares(text, text, key=FingerprintKey.derive(b"a secret of a test", tenant="other"))
    assert not shares(text, text, key=FingerprintKey.derive(secrets.token_bytes(32), tenant="acme"))


def test_of_a_long_text_less_than_half_of_the_runs_are_kept() -> None:
    text = " ".join(f"paragraph{number}" for number in range(2_000))
    assert len(KEY.winnowed(Tokens.of(text))) < 900


@pytest.mark.parametrize(
    ("text", "telling"), [("", False), ("Yes.", False), ("Not sure", False), ("I agree fully", True)]
)
def test_a_text_of_a_word_or_two_tells_nothing_by_itself(text: str, telling: bool) -> None:
    assert Tokens.of(text).are_telling is telling
