"""What is done for sessions beside the requests is bounded, ends with the service, and troubles no answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.models import (
    Caller,
    ChatRequest,
    Complexity,
    Delta,
    Event,
    Finished,
    Grounding,
    GroundingOutcome,
    Label,
    Limits,
    Message,
    Role,
    Route,
    Started,
    Usage,
)
from app.records import Turn
from app.services.chores import MOST_WAITING, Chore, Chores
from app.services.conversation import HISTORY_TOKENS
from app.services.session_upkeep import TITLE_TOKENS, SessionUpkeep
from app.stores.sql.engine import Database
from app.stores.sql.sessions import SqlSessionStore
from app.utils.tasks import finish_anyway
from tests.stores.records import SetClock

CALLER = Caller(
    tenant="acme", label_floor=Label.INTERNAL, limits=Limits(requests_per_minute=5, tokens_per_minute=9_000)
)
ROUTE = Route(
    label=Label.CONFIDENTIAL,
    complexity=Complexity.SIMPLE,
    complexity_score=0.0,
    raised_by=(),
    rule="local",
    candidates=(),
)


class Asked:
    """Stands for the gateway: remembers what it was asked and answers the same each time, when it may."""

    def __init__(self, *, model: str = "ollama/llama3", reason: str = "stop") -> None:
        self.requests: list[tuple[ChatRequest, Caller]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._model = model
        self._reason = reason

    async def __call__(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[Sequence[Event], None]:
        self.requests.append((request, caller))
        self.begun.set()
        await self.gate.wait()
        finished = Finished(
            usage=Usage(),
            cost=None,
            cached=False,
            finish_reasons=(self._reason,),  # type: ignore[arg-type]  # one of the reasons
            citations=(),
            grounding=Grounding(outcome=GroundingOutcome.NO_DOCUMENTS),
            route=ROUTE,
        )
        yield (Started(id="1", model=self._model, created=SetClock()(), route=ROUTE),)
        yield Delta(content="In short"), finished


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlSessionStore]:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'sluice.db'}")
    yield SqlSessionStore(database, clock=SetClock())
    await database.close()


def upkeep(store: SqlSessionStore, asked: Asked, *, chores: Chores | None = None, days: int = 0) -> SessionUpkeep:
    return SessionUpkeep(
        store=store,
        chores=chores or Chores(),
        ask=asked.__call__,
        clock=SetClock(),
        asks_models=True,
        retention_days=days,
    )


def chore(incarnation: str, *, window: int | None = None) -> Chore:
    return Chore(session_id="s", incarnation=incarnation, caller=CALLER, model="auto", window=window)


async def talk(store: SqlSessionStore, *tokens: int) -> Chore:
    """A session in which each message has so many tokens."""
    incarnation = await store.raise_mark("s", tenant="acme", label=Label.CONFIDENTIAL)
    assert incarnation is not None
    roles: tuple[Role, Role] = ("user", "assistant")
    turns = [
        Turn(
            id=f"m{number}",
            message=Message.of(roles[number % 2], f"text {number}"),
            label=Label.CONFIDENTIAL,
            created_at=SetClock()(),
            tokens=count,
        )
        for number, count in enumerate(tokens)
    ]
    await store.append("s", tenant="acme", incarnation=incarnation, turns=turns, title="text 0")
    return chore(incarnation)


async def read_title(store: SqlSessionStore) -> str | None:
    return (await store.entry("s", tenant="acme", clearance=Label.CONFIDENTIAL)).title


async def test_a_title_is_asked_for_under_the_mark_as_the_caller_and_once(store: SqlSessionStore) -> None:
    asked, todo = Asked(), await talk(store, 10, 10)
    for _ in range(2):
        await upkeep(store, asked).do(todo)
    ((request, caller),) = asked.requests
    assert request.sensitivity is Label.CONFIDENTIAL
    assert caller == replace(CALLER, limits=Limits(tokens_per_minute=9_000)), "its requests are not the key's own"
    assert (request.session_id, request.user_id, request.documents) == (None, None, None)
    assert (request.cache.read, request.cache.write) == (False, False)
    assert request.sampling.max_tokens == TITLE_TOKENS
    assert await read_title(store) == "In short"


@pytest.mark.parametrize("asked", [{"model": "builtin/extractive"}, {"reason": "length"}])
async def test_what_is_no_title_leaves_the_first_words(store: SqlSessionStore, asked: dict[str, str]) -> None:
    await upkeep(store, Asked(**asked)).do(await talk(store, 10, 10))
    assert await read_title(store) == "text 0"


async def test_a_session_that_was_deleted_and_begun_anew_is_not_the_one_of_the_chore(store: SqlSessionStore) -> None:
    asked, todo = Asked(), await talk(store, 10, 10)
    await store.delete("s", tenant="acme", clearance=Label.CONFIDENTIAL)
    await talk(store, 10, 10)
    await upkeep(store, asked).do(todo)
    assert asked.requests == []


async def test_the_older_part_is_summarised_up_to_a_question_once_there_is_too_much(store: SqlSessionStore) -> None:
    asked, todo = Asked(), await talk(store, *[HISTORY_TOKENS // 10] * 10)
    await upkeep(store, asked).do(todo)
    read = await store.read("s", tenant="acme", clearance=Label.CONFIDENTIAL)
    assert read.summary is not None
    assert (read.summary.text, read.summary.label) == ("In short", Label.CONFIDENTIAL)
    assert read.turns[0].message.role == "user"
    assert 2 <= len(read.turns) < 8
    assert asked.requests[-1][0].sensitivity is Label.CONFIDENTIAL
    await upkeep(store, asked).do(todo)
    assert len(asked.requests) == 1, "there is not too much any more"


async def test_a_small_window_is_summarised_for_earlier(store: SqlSessionStore) -> None:
    asked, todo = Asked(), await talk(store, *[500] * 8)
    await upkeep(store, asked).do(todo)
    assert asked.requests == []
    await upkeep(store, asked).do(chore(todo.incarnation, window=4_096))
    assert len(asked.requests) == 1


async def test_the_end_of_the_service_waits_for_no_model_and_says_what_is_left(
    store: SqlSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    asked, chores = Asked(), Chores()
    asked.gate.clear()
    todo = await talk(store, 10, 10)
    chores.add(todo)
    chores.add(todo)
    assert len(chores) == 1, "a session waits once"
    for number in range(MOST_WAITING + 5):
        chores.add(chore(f"other {number}"))
    assert len(chores) == MOST_WAITING
    working = asyncio.create_task(upkeep(store, asked, chores=chores).work())
    await asked.begun.wait()
    with caplog.at_level(logging.INFO):
        working.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait({working})
    assert "session chores left" in caplog.messages
    assert await read_title(store) == "text 0"


async def test_sessions_are_forgotten_when_their_time_is_up(store: SqlSessionStore) -> None:
    await talk(store, 10, 10)
    later = SetClock()
    later.advance(2 * 24 * 3600)
    forgetting = SessionUpkeep(
        store=store, chores=Chores(), ask=Asked().__call__, clock=later, asks_models=False, retention_days=1
    )
    await forgetting.forget_old()
    assert (await store.read("s", tenant="acme", clearance=Label.CONFIDENTIAL)).turns == ()


async def test_what_must_be_finished_is_although_its_caller_is_cancelled() -> None:
    begun, gate, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await gate.wait()
        done.set()

    caller = asyncio.create_task(finish_anyway(work()))
    await begun.wait()
    caller.cancel()
    gate.set()
    await asyncio.wait({caller})
    assert caller.cancelled()
    assert done.is_set()
