"""Two wordings agree only where they certainly ask the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.agreement import LONGEST_TEXT, agree, canonical_form
from benchmarks.cache.lookalikes import lookalikes
from benchmarks.cache.near_misses import near_misses


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can I reset my password"),
        ("What's the capital of France?", "Could you please tell me what the capital of France is?"),
        ("How to buy a car?", "How do I purchase an automobile?"),
        ("How many children does he have?", "How many kids does he have?"),
        ("What happened on 8 May 2015 in Oslo?", "What happened in Oslo on May 8th, 2015?"),
        ("Who owns the river Leurda?", "Who owns the Leurda River?"),
        ("Is ex-wife one word?", "Is ex wife 1 word?"),
    ],
)
def test_wordings_that_mean_the_same_agree(one: str, other: str) -> None:
    assert agree(one, other)
    assert agree(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who was hired by Alice?", "Who hired Alice?"),
        ("flights from Paris to London", "flights to Paris from London"),
        ("Who does he love?", "Who loves him?"),
        ("Is the door open?", "The door is open."),
        ("What is the temperature at -5 C?", "What is the temperature at 5 C?"),
        ("Is US GDP growing?", "Is GDP growing for us?"),
        ("All cats can swim.", "Some cats can swim."),
        ("cheap hotels in Rome", "hotels in Rome"),
        ("Which is better, tea with milk?", "Which is better, tea without milk?"),
        ("the second episode", "the 2 episodes"),
        ("What is 1 / 2?", "What is 1 * 2?"),
        ("What is the weather today?", "What is the weather now?"),
    ],
)
def test_wordings_that_differ_in_meaning_do_not_agree(one: str, other: str) -> None:
    assert not agree(one, other)


def test_no_near_miss_of_the_benchmark_agrees() -> None:
    pairs = (*near_misses(), *(pair for pair in lookalikes() if not pair.same))
    assert [(pair.one, pair.other) for pair in pairs if agree(pair.one, pair.other)] == []


def test_pairs_of_the_benchmark_that_ask_the_same_agree_both_ways() -> None:
    pairs = [pair for pair in lookalikes() if pair.same]
    assert [pair for pair in pairs if not (agree(pair.one, pair.other) and agree(pair.other, pair.one))] == []


@pytest.mark.parametrize("text", ["", "   ", "天空为什么是蓝色的？", "a " * LONGEST_TEXT])
def test_what_the_rules_do_not_apply_to_agrees_with_nothing(text: str) -> None:
    assert canonical_form(text) is None
    assert not agree(text, text)


@given(text=st.text(max_size=200))
def test_any_text_can_be_read_and_agrees_with_itself_if_with_anything(text: str) -> None:
    assert agree(text, text) == (canonical_form(text) is not None)
