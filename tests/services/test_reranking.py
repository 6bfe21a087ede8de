"""The best passages are read again by a model that is cleared for them; without one they stay as they are."""

from __future__ import annotations

import pytest

from app.errors import UpstreamUnavailableError
from app.models import Dispatch, Label, Locality, Model, Passage
from app.protocols import RerankRequest
from app.services.reranking import MOST_RERANKED, rerank


class ByLength:
    """Likes short texts; remembers what it was sent."""

    def __init__(self, *, clearance: Label = Label.CONFIDENTIAL, fails: bool = False) -> None:
        self.model = Model(provider="builtin", name="length", locality=Locality.LOCAL, clearance=clearance)
        self.sent: list[Dispatch[RerankRequest]] = []
        self._fails = fails

    async def score(self, dispatch: Dispatch[RerankRequest]) -> list[float]:
        self.sent.append(dispatch)
        if self._fails:
            raise UpstreamUnavailableError
        return [1 / len(text) for text in dispatch.payload.texts]

    async def close(self) -> None:
        """Nothing is open."""


def passage(content: str, *, label: Label = Label.PUBLIC) -> Passage:
    return Passage(
        id=f"v:{content}",
        document_id="d",
        collection="default",
        version="v",
        title="T",
        content=content,
        score=0.5,
        label=label,
    )


async def test_the_model_decides_the_order_and_the_scores() -> None:
    found = await rerank(
        [passage("aaaa"), passage("a"), passage("aa")], query="q", label=Label.PUBLIC, reranker=ByLength()
    )
    assert [each.content for each in found] == ["a", "aa", "aaaa"]
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


async def test_those_beyond_the_first_few_stay_behind_them() -> None:
    passages = [passage("a" * (MOST_RERANKED - number)) for number in range(MOST_RERANKED)] + [passage("")]
    found = await rerank(passages, query="q", label=Label.PUBLIC, reranker=ByLength())
    assert found[0].content == "a"
    assert found[-1].content == ""
    assert found[-1].score <= found[-2].score


@pytest.mark.parametrize(
    ("label", "of_passage"), [(Label.CONFIDENTIAL, Label.PUBLIC), (Label.PUBLIC, Label.CONFIDENTIAL)]
)
async def test_nothing_above_its_clearance_is_sent_and_the_order_stays(label: Label, of_passage: Label) -> None:
    reranker = ByLength(clearance=Label.INTERNAL)
    passages = [passage("aa"), passage("a", label=of_passage)]
    assert await rerank(passages, query="q", label=label, reranker=reranker) == passages
    assert reranker.sent == []


async def test_what_is_sent_carries_the_highest_label_of_question_and_passages() -> None:
    reranker = ByLength()
    await rerank([passage("a", label=Label.INTERNAL)], query="q", label=Label.PUBLIC, reranker=reranker)
    assert [(each.label, each.payload.texts) for each in reranker.sent] == [(Label.INTERNAL, ("T\na",))]


async def test_a_model_that_fails_changes_nothing() -> None:
    passages = [passage("aa"), passage("a")]
    assert await rerank(passages, query="q", label=Label.PUBLIC, reranker=ByLength(fails=True)) == passages
