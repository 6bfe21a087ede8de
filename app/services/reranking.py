"""A second look at the best passages by a model that reads each together with the question; optional."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from app.errors import UpstreamError
from app.models import Dispatch, Label, Passage
from app.protocols import Reranker, RerankRequest

logger = logging.getLogger(__name__)

# Deeper down the first ranking little is found, and each passage costs a run of the model.
MOST_RERANKED = 30


async def rerank(passages: Sequence[Passage], *, query: str, label: Label, reranker: Reranker | None) -> list[Passage]:
    """The passages with the model's scores, best first; those beyond the first few stay behind them, in their order.

    They stay as they are without a model, with one that is not cleared for the question and every passage, and when
    it fails: a ranking is better than none.
    """
    head, tail = list(passages[:MOST_RERANKED]), list(passages[MOST_RERANKED:])
    together = max((label, *(passage.label for passage in head)))
    if reranker is None or not head or together > reranker.model.clearance:
        return [*head, *tail]
    request = RerankRequest(query, tuple(f"{passage.title}\n{passage.content}" for passage in head))
    try:
        scores = await reranker.score(Dispatch(request, together, reranker.model))
    except UpstreamError as error:
        logger.warning("not reranked", extra={"code": error.code})
        return [*head, *tail]
    lowest = min(scores)
    ranked = sorted(zip(scores, head, strict=True), key=lambda pair: -pair[0])
    return [
        *(replace(passage, score=score) for score, passage in ranked),
        *(replace(passage, score=min(passage.score, lowest)) for passage in tail),
    ]
