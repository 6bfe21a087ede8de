"""Searches for callers: labelled, looked up, recorded."""

from __future__ import annotations

from collections import Counter

from app.models import Caller, Label, RetrievalScope
from app.services.audit import Audit
from app.services.detectors import Field
from app.services.labels import Labeller
from app.services.retrieval import Found, Retrieval, SearchQuery


class Search:
    """Finds passages, and records of each search its label and the labels of what it found."""

    def __init__(self, *, retrieval: Retrieval, labeller: Labeller, audit: Audit) -> None:
        self._retrieval = retrieval
        self._labeller = labeller
        self._audit = audit

    async def find(self, query: str, *, scope: RetrievalScope, stated: Label | None, caller: Caller) -> list[Found]:
        """The best passages, best first; `stated` is the label that the query is said to have."""
        with self._audit.account("search", (query,), caller=caller) as account:
            fields = (Field("query", query),)
            account.reading = await self._labeller.read_texts(fields, caller=caller, stated=stated)
            account.model = self._retrieval.model_for(account.reading.label)
            wanted = SearchQuery(text=query, label=account.reading.label, scope=scope)
            found = await self._retrieval.search(wanted, caller=caller)
            account.found = Counter(each.passage.label.word for each in found)
        return found
