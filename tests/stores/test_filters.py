"""Metadata filters: what each operator finds, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequestError
from app.models import JSONValue, Label
from app.protocols import DocumentStore
from tests.stores.records import ALL, TENANT, Worker, upload

FACTS: dict[str, dict[str, JSONValue]] = {
    "ada": {"year": 1843, "tags": ["math", "notes"], "author": {"name": "Ada"}, "draft": False, "note": None},
    "bob": {"year": 1999.5, "tags": "math", "author": {"name": "Bob"}, "draft": True},
    "cyd": {"year": "1999", "big": 10**400, "long": "x" * 600},
}


async def matching(documents: DocumentStore, filter: Any, *, clearance: Label = ALL) -> set[str]:
    ids = await documents.matching_chunks(tenant=TENANT, collection="handbook", clearance=clearance, filter=filter)
    passages = await documents.passages(dict.fromkeys(ids, 1.0), tenant=TENANT, clearance=ALL)
    return {passage.document_id for passage in passages}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"year": {"eq": 1843}}, {"ada"}),
        ({"year": {"ne": 1843}}, {"bob", "cyd"}),
        ({"year": {"gt": 1843}}, {"bob"}),
        ({"year": {"gte": 1843}}, {"ada", "bob"}),
        ({"year": {"lt": 1999.5}}, {"ada"}),
        ({"year": {"lte": 1999.5}}, {"ada", "bob"}),
        ({"year": {"gte": "1"}}, {"cyd"}),
        ({"year": {"gt": 1800, "lt": 1900}}, {"ada"}),
        ({"big": {"gt": 1e300}}, {"cyd"}),
        ({"long": {"gt": "x" * 500}}, {"cyd"}),
        ({"long": {"eq": "x" * 500}}, set()),
        ({"tags": {"eq": "math"}}, {"ada", "bob"}),
        ({"tags": {"ne": "notes"}}, {"bob", "cyd"}),
        ({"tags": {"in": ["notes", 7]}}, {"ada"}),
        ({"tags": {"nin": ["notes"]}}, {"bob", "cyd"}),
        ({"tags": {"in": []}}, set()),
        ({"tags": {"in": [None, "notes"]}}, {"ada", "cyd"}),
        ({"author.name": {"eq": "Ada"}}, {"ada"}),
        ({"draft": {"eq": True}}, {"bob"}),
        ({"draft": {"eq": 1}}, set()),
        ({"note": {"eq": None}}, {"ada", "bob", "cyd"}),
        ({"draft": {"ne": None}}, {"ada", "bob"}),
        ({"or": [{"year": {"eq": 1843}}, {"draft": {"eq": True}}]}, {"ada", "bob"}),
        ({"and": [{"tags": {"eq": "math"}}, {"draft": {"eq": True}}]}, {"bob"}),
        ({"tags": {"eq": "math"}, "or": [{"year": {"eq": 1843}}, {"year": {"eq": "1999"}}]}, {"ada"}),
        ({"year": {"eq": "1843' OR '1'='1"}}, set()),
    ],
)
async def test_a_filter_finds_the_documents_that_satisfy_it(
    documents: DocumentStore, worker: Worker, filter: Any, expected: set[str]
) -> None:
    await worker.publish(*(upload(id, metadata=facts) for id, facts in FACTS.items()))
    assert await matching(documents, filter) == expected


async def test_a_filter_stands_inside_the_tenant_the_collection_and_the_clearance(
    documents: DocumentStore, worker: Worker
) -> None:
    facts: dict[str, JSONValue] = {"x": 1}
    await worker.publish(
        upload("mine", metadata=facts),
        upload("secret", metadata=facts, label=Label.CONFIDENTIAL),
        upload("elsewhere", metadata=facts, collection="other"),
        upload("theirs", metadata=facts, tenant="other"),
    )
    everything = {"or": [{"x": {"eq": 1}}, {"x": {"ne": 1}}]}
    assert await matching(documents, everything, clearance=Label.INTERNAL) == {"mine"}


@pytest.mark.parametrize(
    "filter",
    [
        {},
        {"year": 1843},
        {"year": {}},
        {"year": {"like": "1%"}},
        {"year": {"eq": {"a": 1}}},
        {"year": {"eq": [1]}},
        {"year": {"eq": "x" * 501}},
        {"y" * 101: {"eq": 1}},
        {"": {"eq": 1}},
        {"year": {"gt": True}},
        {"year": {"in": 1}},
        {"year": {"in": list(range(1_001))}},
        {"or": []},
        {"or": {"year": {"eq": 1}}},
        {"or": [1]},
        {f"f{number}": {"eq": 1} for number in range(101)},
    ],
)
async def test_a_malformed_filter_is_refused_without_quoting_it(documents: DocumentStore, filter: Any) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await matching(documents, filter)
    assert refused.value.param == "filter"
    assert "like" not in refused.value.detail
    assert "year" not in refused.value.detail


async def test_a_filter_nested_without_end_is_refused(documents: DocumentStore) -> None:
    filter: Any = {"x": {"eq": 1}}
    for _ in range(50):
        filter = {"and": [filter]}
    with pytest.raises(InvalidRequestError):
        await matching(documents, filter)
