"""How passages are handed out: repetitions left out, neighbours joined."""

from __future__ import annotations

from app.models import Label, Passage
from app.services.excerpts import assemble


def passage(ordinal: int, content: str, *, version: str = "v", score: float = 0.5) -> Passage:
    return Passage(
        id=f"{version}:{ordinal}",
        document_id="document",
        collection="default",
        version=version,
        title="Title",
        content=content,
        score=score,
        label=Label.PUBLIC,
    )


def spans(passages: list[Passage], *, limit: int) -> list[tuple[str, int, int]]:
    return [(each.best.version, each.first, each.last) for each in assemble(passages, limit=limit)]


def test_neighbours_are_joined_up_to_three() -> None:
    found = [
        passage(number, f"unlike all others {word}") for number, word in ((5, "a"), (4, "bb"), (6, "ccc"), (7, "d"))
    ]
    assert spans(found, limit=5) == [("v", 4, 6), ("v", 7, 7)]


def test_an_excerpt_is_what_was_found_first_in_it() -> None:
    [excerpt] = assemble([passage(5, "best", score=0.9), passage(4, "second", score=0.8)], limit=2)
    assert (excerpt.best.content, excerpt.best.score) == ("best", 0.9)


def test_neighbours_in_another_document_are_none() -> None:
    assert spans([passage(1, "one"), passage(2, "two", version="w")], limit=5) == [("v", 1, 1), ("w", 2, 2)]


def test_a_repetition_in_the_same_document_is_left_out_and_in_another_kept() -> None:
    text = "All rights are reserved by whoever holds them, and nothing on this page may be copied."
    found = [passage(1, text), passage(9, text.upper()), passage(1, text, version="w")]
    assert spans(found, limit=5) == [("v", 1, 1), ("w", 1, 1)]


def test_rows_that_differ_in_numbers_alone_are_no_repetitions() -> None:
    row = "The total revenue of the segment in the fiscal year came to {} million dollars before tax"
    assert len(spans([passage(1, row.format(17)), passage(9, row.format(23))], limit=5)) == 2


def test_the_limit_counts_excerpts() -> None:
    found = [passage(number * 10, word) for number, word in enumerate(("one", "two", "three"))]
    assert len(spans(found, limit=2)) == 2
