"""What is looked up for a question that leans on earlier ones, and that one which stands alone is left as it is."""

from __future__ import annotations

import pytest

from app.models import Message
from app.services.followups import leans, search_text

LIST = "There are three:\n1. Halden Paper\n2. Corvus Air\n3. Tessel Bank"


def looked_up(*texts: str) -> str:
    return search_text([Message.of("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("said", "question", "expected"),
    [
        ("What was Halden Paper's revenue in 2021?", "And in 2022?", "Halden Paper's revenue And in 2022?"),
        ("What was the revenue of Tessel Bank?", "What about Corvus Air?", "revenue What about Corvus Air?"),
        ("Who runs Marlin Foods?", "How many people does it employ?", "Marlin Foods? How many people does it employ?"),
        ("when was tessel bank founded?", "where is it?", "tessel bank founded? where is it?"),
        ("What does Corvus Air do?", "Why?", "Corvus Air Why?"),
    ],
)
def test_a_question_that_leans_gets_what_it_lacks(said: str, question: str, expected: str) -> None:
    assert looked_up(said, "An answer.", question) == expected


def test_a_question_about_an_entry_of_a_list_gets_the_entry() -> None:
    assert looked_up("Which companies are there?", LIST, "When was the second one founded?").startswith("Corvus Air ")
    assert looked_up("Which companies are there?", LIST, "Who runs the last one?").startswith("Tessel Bank ")
    assert looked_up("Which companies are there?", LIST, "Who runs number 9?") == "companies Who runs number 9?"


def test_a_chain_of_them_leads_back_to_the_one_with_a_subject() -> None:
    text = looked_up("Who runs Marlin Foods?", "Rui Tavares.", "Why?", "Nobody knows.", "Where is it?")
    assert text.startswith("Marlin Foods? ")


@pytest.mark.parametrize(
    "question",
    [
        "Who is the chief executive of Corvus Air?",
        "How did Tesla finance his work?",
        "How old was the winning quarterback when he won the final game?",
        "Which country has the most bridges in the world, and how long are they?",
        "Was ist die Hauptstadt von Norwegen?",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert not leans(question)
    assert looked_up("What was the revenue of Tessel Bank?", "102 million.", question) == question


def test_without_a_history_nothing_is_added() -> None:
    assert looked_up("And in 2022?") == "And in 2022?"
    assert search_text([]) == ""
    assert search_text([Message.of("system", "Be brief."), Message.of("user", "Why?")]) == "Why?"
