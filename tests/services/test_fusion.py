"""How the rankings by meaning and by words become one."""

from __future__ import annotations

import pytest

from app.protocols import WordHit
from app.services.fusion import Ranked, fuse

COSINES = {"a": 0.9, "b": 0.6, "c": 0.1}
HITS = (WordHit("c", 12.0), WordHit("b", 6.0))


def order(ranked: list[Ranked]) -> list[str]:
    return [each.chunk_id for each in ranked]


def test_scores_fall_with_the_order_and_stay_within_0_and_1() -> None:
    for known in (True, False):
        scores = [each.score for each in fuse({**COSINES, "d": -0.5}, HITS, coverage=1.0, script_known=known)]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


def test_both_places_are_told() -> None:
    ranked = {each.chunk_id: each for each in fuse(COSINES, HITS, coverage=1.0, script_known=True)}
    assert (ranked["a"].by_meaning, ranked["a"].by_words) == (1, None)
    assert (ranked["c"].by_meaning, ranked["c"].by_words) == (3, 1)


def test_where_no_words_are_found_the_cosine_is_the_score() -> None:
    for hits in ((), HITS):
        ranked = fuse(COSINES, hits, coverage=0.0, script_known=True)
        assert {each.chunk_id: each.score for each in ranked} == pytest.approx(COSINES)


def test_words_count_the_more_the_more_of_the_query_they_find() -> None:
    close = {"a": 0.55, "b": 0.5}
    hits = (WordHit("b", 1.0),)
    assert order(fuse(close, hits, coverage=0.05, script_known=True)) == ["a", "b"]
    assert order(fuse(close, hits, coverage=1.0, script_known=True)) == ["b", "a"]


def test_without_cosines_words_decide_alone_and_are_worth_what_they_cover() -> None:
    ranked = fuse({}, HITS, coverage=0.5, script_known=True)
    assert [(each.chunk_id, each.score) for each in ranked] == [("c", 0.5), ("b", 0.25)]


def test_in_an_unknown_script_words_outweigh_any_cosine() -> None:
    assert order(fuse(COSINES, HITS, coverage=0.6, script_known=False)) == ["c", "b", "a"]
    assert order(fuse(COSINES, (), coverage=0.0, script_known=False)) == ["a", "b", "c"]
