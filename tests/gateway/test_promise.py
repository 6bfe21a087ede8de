"""The promise as properties: whatever is said and whatever breaks, nothing reaches a model not cleared for it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.errors import RoutingError, UpstreamError
from app.models import Caller, ChatRequest, Delta, Label, Message, RetrievalScope, Route, Started
from app.services.ingestion import Upload
from app.stores.sql.sessions import SqlSessionStore
from app.wiring import Services, open_services
from tests.gateway.conftest import cloud_settings
from tests.support.answer import Answer, Behaviour
from tests.support.batches import one_by_one
from tests.support.behaviours import CutMidStream, HalfJson, ResetConnection, Status
from tests.support.canaries import invent_words
from tests.support.http import RecordedRequest
from tests.support.service import isolated_settings
from tests.support.upstream import ScriptedUpstream

WORDS = invent_words(4_000, seed=1)
# Less of an answer that was cut may be too little to be known again by.
TELLING_WORDS = 20
FAILURES: tuple[Callable[[Answer], Behaviour], ...] = (
    lambda answer: answer,
    lambda answer: answer,
    lambda _: Status(503),
    lambda _: Status(429),
    lambda _: ResetConnection(),
    lambda answer: HalfJson(of=answer),
    lambda answer: CutMidStream(after=30, of=answer),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a client does: says something, or says again what it was answered, or adds a document."""

    act: str
    label: Label | None
    session: str | None
    documents: bool
    stream: bool
    cloud: int
    local: int


STEPS = st.lists(
    st.builds(
        Step,
        act=st.sampled_from(["say", "say", "say again", "add"]),
        label=st.sampled_from([None, *Label]),
        session=st.sampled_from([None, "a", "b"]),
        documents=st.booleans(),
        stream=st.booleans(),
        cloud=st.integers(0, len(FAILURES) - 1),
        local=st.integers(0, len(FAILURES) - 1),
    ),
    min_size=2,
    max_size=6,
)


PLAIN = Step(act="say", label=None, session=None, documents=False, stream=True, cloud=0, local=0)
# One for each way to a label, which chance alone might pass by.
WAYS = (
    [replace(PLAIN, label=Label.CONFIDENTIAL)],
    [replace(PLAIN, label=Label.CONFIDENTIAL, session="a"), replace(PLAIN, session="a")],
    [replace(PLAIN, label=Label.CONFIDENTIAL, session="a", local=2), replace(PLAIN, session="a")],
    [replace(PLAIN, label=Label.CONFIDENTIAL), replace(PLAIN, act="say again")],
    [replace(PLAIN, act="add", label=Label.CONFIDENTIAL), replace(PLAIN, documents=True)],
    [replace(PLAIN, label=Label.CONFIDENTIAL, local=2), replace(PLAIN, label=Label.CONFIDENTIAL, local=4)],
)


@dataclass(slots=True)
class World:
    """A gateway between two upstreams, and what the test itself knows of each word that was said: its label."""

    services: Services
    sessions: SqlSessionStore
    cloud: ScriptedUpstream
    local: ScriptedUpstream
    words: Iterator[str]
    tenants: Iterator[int] = field(default_factory=itertools.count)


@pytest.fixture
async def world(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[World]:
    known: dict[str, Any] = cloud_settings(openai_upstream)
    known |= {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with open_services(isolated_settings(tmp_path, **known)) as services:
        services.gateway._completion._jitter = lambda: -0.5  # retries without a wait
        database = services.documents._database  # type: ignore[attr-defined]  # the store that the gateway writes to
        yield World(
            services=services,
            sessions=SqlSessionStore(database, clock=lambda: None),  # type: ignore[arg-type,return-value]  # only read
            cloud=openai_upstream,
            local=ollama_upstream,
            words=itertools.cycle(WORDS),
        )


class Client:
    """Does the steps of one example as a tenant of its own, and keeps account of what must hold."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._caller = Caller(tenant=f"tenant{next(world.tenants)}")
        self._marks: dict[str, Label] = {}
        self._answered: tuple[str, Label] | None = None
        self.labels: dict[str, Label] = {}

    async def do(self, step: Step) -> None:
        for upstream, failure in ((self._world.cloud, step.cloud), (self._world.local, step.local)):
            upstream.script = _repeating(FAILURES[failure])
        if step.act == "add":
            await self._add(step)
        else:
            await self._say(step)
        await self._check_marks()

    async def _add(self, step: Step) -> None:
        word = next(self._world.words)
        self.labels[word] = step.label or Label.INTERNAL
        content = f"The plant in the north will be sold to {word} for a price that nobody has published.".encode()
        upload = Upload(
            id=None,
            collection="default",
            title=None,
            content=content,
            media_type="text/plain",
            filename=None,
            label=step.label,
            metadata={},
        )
        versions = await self._world.services.ingestion.accept([upload], caller=self._caller)
        assert await self._world.services.ingestion.settled([version.id for version in versions], within=30)

    async def _say(self, step: Step) -> None:
        word = next(self._world.words)
        text = f"Who will buy the plant in the north if {word} does not want to have it?"
        floor = Label.PUBLIC if step.session is None else self._marks.get(step.session, Label.PUBLIC)
        if step.act == "say again" and self._answered is not None:
            said, label = self._answered
            text, floor = f"{said}\n{text}", max(floor, label)
        self.labels[word] = max(step.label or Label.PUBLIC, floor)
        request = ChatRequest(
            messages=(Message.of("user", text),),
            sensitivity=step.label,
            session_id=step.session,
            documents=RetrievalScope() if step.documents else None,
            stream=step.stream,
        )
        route, answer, was_sent = await self._ask(request)
        if was_sent and step.session is not None:
            self._marks[step.session] = self.labels[word]
        if route is not None:
            assert route.label >= self.labels[word]
            if len(answer.split()) >= TELLING_WORDS:
                self._answered = (answer, route.label)
            if step.session is not None:
                self._marks[step.session] = route.label

    async def _ask(self, request: ChatRequest) -> tuple[Route | None, str, bool]:
        """The route and the text of the answer as far as they came, and whether a model was asked at all."""
        route, answer, was_sent = None, "", True
        try:
            async for event in one_by_one(self._world.services.gateway.answer(request, caller=self._caller)):
                if isinstance(event, Started):
                    route = event.route
                    model = self._world.services.catalog.view.find(event.model)
                    assert model is not None
                    assert route.label <= model.clearance
                elif isinstance(event, Delta):
                    answer += event.content
        except UpstreamError:
            pass
        except RoutingError:
            was_sent = False
        return route, answer, was_sent

    async def _check_marks(self) -> None:
        """A mark never falls, and is at least what the session was answered under."""
        for session, mark in self._marks.items():
            read = await self._world.sessions.read(session, tenant=self._caller.tenant, clearance=Label.CONFIDENTIAL)
            assert read.mark >= mark
            self._marks[session] = read.mark


def _repeating(failure: Callable[[Answer], Behaviour]) -> Callable[[RecordedRequest], Behaviour | None]:
    """An upstream that answers with what it was last told, or fails in the middle of that."""

    def answer(request: RecordedRequest) -> Behaviour | None:
        if b"messages" not in request.body:
            return None
        content = str(request.json["messages"][-1]["content"])
        return failure(Answer(text=f"You want to know this: {content[-400:]}"))

    return answer


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(steps=WAYS[0])
@example(steps=WAYS[1])
@example(steps=WAYS[2])
@example(steps=WAYS[3])
@example(steps=WAYS[4])
@example(steps=WAYS[5])
@given(steps=STEPS)
async def test_nothing_above_the_cloud_clearance_reaches_the_cloud_whatever_happens(
    world: World, steps: list[Step]
) -> None:
    world.cloud.forget()
    world.local.forget()
    client = Client(world)
    for step in steps:
        await client.do(step)
    for word, label in client.labels.items():
        assert label <= Label.INTERNAL or word.encode() not in world.cloud.received


async def test_the_public_twin_of_these_conversations_does_reach_the_cloud(world: World) -> None:
    client = Client(world)
    await client.do(replace(PLAIN, session="a"))
    await client.do(replace(PLAIN, act="say again", stream=False))
    assert set(client.labels.values()) == {Label.PUBLIC}
    assert all(word.encode() in world.cloud.received for word in client.labels)
