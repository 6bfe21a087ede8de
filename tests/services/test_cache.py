"""The exact cache: what it keeps, for whom, for how long, and in which form."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import (
    Attempt,
    CacheUse,
    Caller,
    Candidate,
    ChatRequest,
    Complexity,
    Delta,
    Grounding,
    GroundingOutcome,
    Label,
    Message,
    RetrievalScope,
    Route,
    Sampling,
    ToolCallDelta,
    Tooling,
    Usage,
)
from app.services.cache import FIELDS_OUTSIDE_KEY, KEY_FIELDS, AnswerCache, CacheRules, Partition, Slot, read_set
from app.services.cache_entries import COMPRESSED, MOST_BYTES, PLAIN, CachedAnswer, Entry, decode, encode
from app.services.purges import MOST_PURGES, Mark, Purge, Purges
from app.stores.memory_cache import MemoryCache

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ROUTE = Route(
    label=Label.PUBLIC, complexity=Complexity.SIMPLE, complexity_score=0.0, raised_by=(), rule="", candidates=()
)
ANSWER = CachedAnswer(
    label=Label.PUBLIC,
    model="openai/m",
    deltas=(Delta(content="Blue."),),
    finish_reasons=("stop",),
    usage=Usage(prompt_tokens=1, completion_tokens=1),
    cost=0.5,
    citations=(),
    grounding=Grounding(outcome=GroundingOutcome.NO_DOCUMENTS),
    route=ROUTE,
)
REQUEST = ChatRequest(messages=(Message.of("system", "Be brief."), Message.of("user", "Hello")), documents=None)
PARTITION = Partition(
    tenant="a", label=Label.PUBLIC, reads=read_set(Caller(), None), policy="p", catalog="c", documents="1"
)
SLOT = Slot(request=REQUEST, partition=PARTITION)


class Cache:
    """A cache in memory whose clock a test sets."""

    def __init__(self, **rules: Any) -> None:
        self.now = BEGAN
        self.store = MemoryCache(max_bytes=10_000_000, monotonic=self._seconds)
        numbers = count()
        self.purges = Purges(store=self.store, secret=b"s", make_id=lambda: str(next(numbers)))
        self.answers = AnswerCache(
            store=self.store,
            secret=b"s",
            rules=CacheRules(**{"ttl": 60, "max_temperature": 1.0, **rules}),
            purges=self.purges,
            clock=lambda: self.now,
        )

    def _seconds(self) -> float:
        return (self.now - BEGAN).total_seconds()

    async def holds(self, slot: Slot) -> bool:
        return await self.answers.find(slot) is not None


def asking(use: CacheUse = CacheUse(), **changes: Any) -> Slot:  # noqa: B008  (it is frozen)
    return replace(SLOT, request=replace(REQUEST, cache=use, **changes))


# The key


def test_every_field_of_a_request_is_in_the_key_or_left_out_for_a_reason() -> None:
    named = {field.name for field in fields(ChatRequest)}
    assert set(KEY_FIELDS) | FIELDS_OUTSIDE_KEY.keys() == named
    assert set(KEY_FIELDS) == {
        "messages", "model", "sampling", "tooling", "sensitivity", "complexity", "documents",
    }  # fmt: skip


words = st.text(min_size=1, max_size=12)
labels = st.sampled_from([Label.PUBLIC, Label.INTERNAL])
slots = st.builds(
    Slot,
    request=st.builds(
        ChatRequest,
        messages=st.tuples(words.map(lambda text: Message.of("system", text)), st.just(Message.of("user", "Hello"))),
        model=words,
        sampling=st.builds(Sampling, temperature=st.sampled_from([None, 0.0, 0.5]), seed=st.none() | st.integers(0, 9)),
        documents=st.none() | st.builds(RetrievalScope, collection=words),
        stream=st.booleans(),
    ),
    partition=st.builds(
        Partition,
        tenant=words,
        label=labels,
        reads=st.builds(
            read_set,
            st.builds(Caller, clearance=labels.map(lambda label: Label(label + 1))),
            st.none() | st.builds(RetrievalScope, collection=words),
        ),
        policy=words,
        catalog=words,
        documents=words,
    ),
)


@given(one=slots, other=slots)
async def test_no_entry_crosses_a_tenant_a_label_a_system_prompt_a_read_set_or_a_document_version(
    one: Slot, other: Slot
) -> None:
    cache = Cache()
    await cache.answers.keep(one, ANSWER)
    assert await cache.holds(one)
    alike = one.partition == other.partition and replace(one.request, stream=False) == replace(
        other.request, stream=False
    )
    assert await cache.holds(other) == alike


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "b"},
        {"label": Label.INTERNAL},
        {"reads": read_set(Caller(clearance=Label.INTERNAL), None)},
        {"reads": read_set(Caller(models=frozenset({"openai/m"})), None)},
        {"reads": read_set(Caller(), RetrievalScope(collection="c"))},
        {"reads": read_set(Caller(), RetrievalScope(filter={"year": {"$eq": 1}}))},
        {"policy": "q"},
        {"catalog": "d"},
        {"documents": "2"},
    ],
    ids=str,
)
async def test_each_part_of_the_partition_keeps_entries_apart(changes: dict[str, Any]) -> None:
    cache = Cache()
    await cache.answers.keep(SLOT, ANSWER)
    assert not await cache.holds(replace(SLOT, partition=replace(PARTITION, **changes)))


async def test_a_stream_and_a_whole_answer_share_an_entry() -> None:
    cache = Cache()
    await cache.answers.keep(asking(stream=True), ANSWER)
    assert await cache.holds(asking(stream=False))


# What is kept


@pytest.mark.parametrize(
    ("use", "temperature", "kept"),
    [(CacheUse(), 1.0, True), (CacheUse(), 1.1, False), (CacheUse(asked=True), 1.1, True), (CacheUse(), None, True)],
    ids=str,
)
async def test_a_hot_answer_is_kept_only_when_asked(use: CacheUse, temperature: float | None, kept: bool) -> None:
    cache, slot = Cache(), asking(use, sampling=Sampling(temperature=temperature))
    await cache.answers.keep(slot, ANSWER)
    assert await cache.holds(slot) == kept


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER, finish_reasons=("length",)),
        replace(ANSWER, finish_reasons=("content_filter",)),
        replace(ANSWER, finish_reasons=()),
        replace(ANSWER, deltas=(Delta(refusal="No."),)),
        replace(ANSWER, finish_reasons=("stop", "length")),
    ],
    ids=["cut", "filtered", "without an end", "refused", "one choice too many"],
)
async def test_an_answer_that_is_not_whole_is_not_kept(answer: CachedAnswer) -> None:
    cache = Cache()
    await cache.answers.keep(SLOT, answer)
    assert not await cache.holds(SLOT)


@pytest.mark.parametrize(
    ("reasons", "kept"), [(("stop", "stop"), True), (("stop",), False), (("stop", "length"), False)]
)
async def test_of_several_choices_all_must_be_whole(reasons: Sequence[Any], kept: bool) -> None:
    cache, slot = Cache(), asking(sampling=Sampling(n=2))
    await cache.answers.keep(slot, replace(ANSWER, finish_reasons=tuple(reasons)))
    assert await cache.holds(slot) == kept


@pytest.mark.parametrize("asked", [False, True])
async def test_tool_calls_are_kept_and_shared_only_when_asked(asked: bool) -> None:
    cache, slot = Cache(), asking(CacheUse(asked=asked), tooling=Tooling(tools=({"type": "function"},)))
    call = Delta(tool_calls=(ToolCallDelta(position=0, id="1", name="f", arguments="{}"),))
    await cache.answers.keep(slot, replace(ANSWER, deltas=(call,), finish_reasons=("tool_calls",)))
    assert await cache.holds(slot) == asked
    assert (cache.answers.flight_key(slot, label=Label.PUBLIC, passages=()) is not None) == asked


async def test_an_entry_lives_as_long_as_the_request_says_or_the_setting() -> None:
    cache = Cache()
    await cache.answers.keep(asking(CacheUse(ttl=10)), ANSWER)
    cache.now += timedelta(seconds=9)
    assert await cache.holds(SLOT)
    cache.now += timedelta(seconds=1)
    assert not await cache.holds(SLOT)


async def test_an_entry_older_than_max_age_is_not_served() -> None:
    cache = Cache()
    await cache.answers.keep(SLOT, ANSWER)
    cache.now += timedelta(seconds=5)
    assert await cache.holds(asking(CacheUse(max_age=5)))
    assert not await cache.holds(asking(CacheUse(max_age=4)))


# Which calls are shared


@pytest.mark.parametrize("label", Label)
def test_a_confidential_call_is_shared_with_nobody(label: Label) -> None:
    key = Cache().answers.flight_key(SLOT, label=label, passages=())
    assert (key is None) == (label is Label.CONFIDENTIAL)


@pytest.mark.parametrize("use", [CacheUse(read=False), CacheUse(write=False), CacheUse(ttl=0)], ids=str)
def test_a_call_is_not_shared_by_who_does_not_use_the_cache(use: CacheUse) -> None:
    assert Cache().answers.flight_key(asking(use), label=Label.PUBLIC, passages=()) is None


def test_calls_are_told_apart_by_what_retrieval_found() -> None:
    found = [((), Label.PUBLIC), (("v1:0",), Label.PUBLIC), (("v2:0",), Label.PUBLIC), (("v1:0",), Label.INTERNAL)]
    keys = {Cache().answers.flight_key(SLOT, label=label, passages=passages) for passages, label in found}
    assert len(keys) == len(found)


# The form of an entry


ENTRY = Entry(kept_at=1.0, seconds=2.0, mark=Mark(ledger="l", purges=0), collection=None, answer=ANSWER)


DELTAS = st.builds(
    Delta,
    content=st.text(max_size=300),
    index=st.integers(0, 1),
    tool_calls=st.sampled_from([(), (ToolCallDelta(position=0, id="c", name="f", arguments="{}"),)]),
    refusal=st.sampled_from(["", "No."]),
    logprobs=st.sampled_from([None, {"content": []}]),
)
CANDIDATES = st.builds(Candidate, model=st.sampled_from("ab"), dropped=st.sampled_from([None, "other_model"]))


@given(
    deltas=st.lists(st.builds(Delta, content=st.text(max_size=3000)), max_size=3) | st.lists(DELTAS, max_size=3),
    candidates=st.lists(CANDIDATES, max_size=6),
)
def test_an_entry_comes_back_as_it_was_but_for_the_route_of_a_hit(
    deltas: list[Delta], candidates: list[Candidate]
) -> None:
    route = replace(
        ROUTE, candidates=tuple(candidates), history="whole", attempts=(Attempt(model="openai/m", outcome="ok"),)
    )
    answer = replace(ANSWER, deltas=tuple(deltas))
    data = encode(replace(ENTRY, answer=replace(answer, route=route)))
    assert data is not None
    found = replace(route, cache="hit", attempts=(), history="none")
    assert decode(data) == replace(ENTRY, answer=replace(answer, route=found))


def test_a_short_entry_is_not_compressed() -> None:
    words = tuple(Delta(content=f"{number} ") for number in range(20))
    data = encode(replace(ENTRY, answer=replace(ANSWER, deltas=words)))
    assert data is not None
    assert data[:1] == PLAIN


def test_a_long_entry_is_compressed() -> None:
    data = encode(replace(ENTRY, answer=replace(ANSWER, deltas=(Delta(content="word " * 2000),))))
    assert data is not None
    assert data[:1] == COMPRESSED
    assert len(data) < 1000


def test_an_entry_that_would_inflate_beyond_bounds_is_none() -> None:
    assert encode(replace(ENTRY, answer=replace(ANSWER, deltas=(Delta(content="x" * MOST_BYTES),)))) is None

    bomb = COMPRESSED + zlib.compress(b" " * (2 * MOST_BYTES) + b"{}")
    assert decode(bomb) is None


@given(data=st.binary(max_size=200))
def test_what_is_no_entry_is_none(data: bytes) -> None:
    assert decode(data) is None
    assert decode(PLAIN + data) is None
    assert decode(COMPRESSED + data) is None


# Purges


IN_A_COLLECTION = replace(
    SLOT, partition=replace(PARTITION, reads=read_set(Caller(), RetrievalScope(collection="reports/2026")))
)


@pytest.mark.parametrize(
    ("purge", "left"),
    [
        (Purge(), [False, False]),
        (Purge(model="openai/m"), [False, False]),
        (Purge(model="openai/other"), [True, True]),
        (Purge(collection="reports/2026"), [True, False]),
        (Purge(prefix="reports/"), [True, False]),
        (Purge(prefix="openai/"), [False, False]),
        (Purge(collection="reports/2026", model="openai/other"), [True, True]),
    ],
    ids=str,
)
async def test_a_purge_forgets_what_it_covers_and_nothing_else(purge: Purge, left: list[bool]) -> None:
    cache = Cache()
    foreign = replace(SLOT, partition=replace(PARTITION, tenant="b"))
    for slot in (SLOT, IN_A_COLLECTION, foreign):
        await cache.answers.keep(slot, ANSWER)
    await cache.purges.forget("a", purge)
    assert [await cache.holds(slot) for slot in (SLOT, IN_A_COLLECTION)] == left
    assert await cache.holds(foreign)
    await cache.answers.keep(SLOT, ANSWER)
    assert await cache.holds(SLOT)


async def test_what_was_forgotten_stays_forgotten_however_many_purges_follow() -> None:
    cache = Cache()
    await cache.answers.keep(SLOT, ANSWER)
    for number in range(MOST_PURGES + 5):
        await cache.purges.forget("a", Purge(model="openai/m" if number == 0 else f"other/{number}"))
        assert not await cache.holds(SLOT)


async def test_a_ledger_that_is_lost_takes_its_entries_along() -> None:
    cache = Cache()
    await cache.answers.keep(SLOT, ANSWER)
    await cache.store.delete(cache.purges.place("a"))
    assert not await cache.holds(SLOT)
