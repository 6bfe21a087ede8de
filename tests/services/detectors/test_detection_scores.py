import pytest

from benchmarks.detection.entities import Score, overlap, score_spans, total
from benchmarks.detection.lookalikes import lookalikes


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 10), (0, 10)) == 1
    assert overlap((0, 10), (5, 15)) == pytest.approx(1 / 3)
    assert overlap((0, 10), (10, 20)) == 0


def test_each_entity_takes_one_span_and_the_rest_are_false_alarms() -> None:
    score = score_spans([(0, 10), (20, 30)], [(1, 10), (0, 9), (40, 50)])
    assert score == Score(found=1, missed=1, false=2)
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == 0.5


def test_f1_of_a_sum_weighs_every_entity_alike() -> None:
    assert total([Score(1, 0, 0), Score(0, 1, 1)]).f1 == 0.5


def test_lookalikes_of_a_seed_are_always_the_same() -> None:
    assert (
        list(lookalikes(of_each=2, seed=3))
        == list(lookalikes(of_each=2, seed=3))
        != list(lookalikes(of_each=2, seed=4))
    )
