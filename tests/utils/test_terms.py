"""How queries and texts are taken apart into terms."""

from __future__ import annotations

import pytest

from app.utils.scripts import latin_share
from app.utils.terms import coverage, index_text, match_query, query_terms


def test_words_that_say_little_are_left_out_of_a_query_that_has_others() -> None:
    assert query_terms("What is the boundary layer?") == ["boundary", "layer"]
    assert query_terms("To be or not to be") == ["to", "be", "or", "not"]


def test_a_query_is_bounded() -> None:
    assert len(query_terms(" ".join(f"word{number}" for number in range(500)))) == 64


def test_wide_forms_and_ligatures_are_the_letters_they_stand_for() -> None:
    assert query_terms("\uff12\uff14 of\ufb01ce") == ["24", "office"]


def test_ideographs_are_taken_in_pairs_and_a_single_one_stands_for_all_pairs_that_it_begins() -> None:
    assert index_text("\u5317\u4eac\u5e02").split() == ["\u5317\u4eac", "\u4eac\u5e02"]
    assert match_query("\u5929") == '"\u5929"*'


def test_quotes_cannot_leave_their_phrase() -> None:
    assert match_query('a"b') == '"b"'
    assert match_query('x" OR y*') == '"x" OR "y"'


@pytest.mark.parametrize(
    ("query", "text", "share"),
    [
        ("computing layers", "The computation of a layer", 1.0),
        ("boundary layers", "a layer", 0.5),
        ("boundary", "nothing of it", 0.0),
        ("?", "anything", 0.0),
    ],
)
def test_coverage_is_the_share_of_terms_that_a_text_holds(query: str, text: str, share: float) -> None:
    assert coverage(query, text) == share


def test_the_share_of_latin_letters_tells_scripts_apart() -> None:
    assert latin_share("Wo liegt \u00c5lesund? 42") == 1.0
    assert latin_share("\u5317\u4eac API") == pytest.approx(0.6)
    assert latin_share("\u0433\u0434\u0435") == 0.0
    assert latin_share("42?") == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,234,567", "1234567"),
        ("\u0661\u0669\u0668\u0664", "1984"),  # Arabic digits
        ("\u0967\u096f\u096e\u096a", "1984"),  # Devanagari digits
        ("\u0e51\u0e59\u0e58\u0e54", "1984"),  # Thai digits
        ("كِتَابٌ", "كتاب"),  # with and without vowel signs
        ("الكـــتاب", "كتاب"),  # stretched, with the article
        ("أحمد", "احمد"),  # alef with and without hamza
        ("مكتبة", "مكتبه"),  # teh marbuta and heh
        ("کتاب", "كتاب"),  # the Persian kaf
        ("ज़मीन", "जमीन"),  # with and without nukta
        ("\u095b\u092e\u0940\u0928", "जमीन"),  # the same letter in one piece
        ("लड़कियों", "लड़की"),  # plural and singular
        ("किताबें", "किताब"),
        ("माँ", "मां"),  # chandrabindu and anusvara
    ],
)
def test_ways_to_write_a_word_or_number_are_one_term(one: str, other: str) -> None:
    assert query_terms(one) == query_terms(other)
    assert index_text(one) == index_text(other)


def test_a_comma_between_numbers_is_none_of_thousands() -> None:
    assert query_terms("1,2,3 and 12,3456") == ["1", "2", "3", "12", "3456"]


def test_thai_is_found_inside_unspaced_text() -> None:
    assert coverage("โรงพยาบาล", "เขาเดินไปโรงพยาบาลเมื่อวานนี้") == 1.0
