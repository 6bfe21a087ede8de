"""What every session store keeps to: turns in their order, marks that never fall, tenants apart."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import NotFoundError
from app.models import ImagePart, Label, Message, TextPart, ToolCall, Turn
from app.protocols import SessionStore
from tests.stores.records import SetClock

ALL = Label.CONFIDENTIAL
CONVERSATION = (
    Message(role="user", parts=(TextPart("What is it? \x00 ü"), ImagePart("data:image/png;base64,AA==", detail="low"))),
    Message(role="assistant", tool_calls=(ToolCall(id="c1", name="look", arguments='{"at": 1}'),)),
    Message(role="tool", parts=(TextPart("a cat"),), tool_call_id="c1", name="look"),
)


def turn(message: Message, moment: SetClock, *, label: Label = Label.PUBLIC, complete: bool = True) -> Turn:
    return Turn(message=message, label=label, created_at=moment(), model="ollama/llama3", complete=complete)


async def test_an_unknown_session_is_empty_and_reading_does_not_make_it(
    sessions: SessionStore, moment: SetClock
) -> None:
    for _ in range(2):
        session = await sessions.read("s", tenant="acme", clearance=Label.PUBLIC)
        assert (session.mark, session.turns) == (Label.PUBLIC, ())
    await sessions.append("s", tenant="acme", turns=[turn(CONVERSATION[0], moment)])
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).turns == ()


async def test_turns_come_back_as_they_were_said_and_in_their_order(sessions: SessionStore, moment: SetClock) -> None:
    await sessions.raise_mark("s", tenant="acme", user_id="ada", label=Label.PUBLIC)
    said = tuple(turn(message, moment, complete=message.role != "tool") for message in CONVERSATION)
    await sessions.append("s", tenant="acme", turns=said[:1])
    await sessions.append("s", tenant="acme", turns=said[1:])
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).turns == said


async def test_a_mark_rises_and_never_falls(sessions: SessionStore) -> None:
    marks = [
        await sessions.raise_mark("s", tenant="acme", user_id=None, label=label)
        for label in (Label.INTERNAL, Label.PUBLIC, Label.CONFIDENTIAL, Label.INTERNAL)
    ]
    assert marks == [Label.INTERNAL, Label.INTERNAL, Label.CONFIDENTIAL, Label.CONFIDENTIAL]
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).mark is Label.CONFIDENTIAL


async def test_marks_raised_at_once_end_at_the_highest(sessions: SessionStore) -> None:
    labels = [Label.INTERNAL, Label.CONFIDENTIAL, Label.PUBLIC] * 5
    await asyncio.gather(*(sessions.raise_mark("s", tenant="acme", user_id=None, label=label) for label in labels))
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).mark is Label.CONFIDENTIAL


async def test_a_turn_takes_the_mark_with_it(sessions: SessionStore, moment: SetClock) -> None:
    await sessions.raise_mark("s", tenant="acme", user_id=None, label=Label.PUBLIC)
    await sessions.append("s", tenant="acme", turns=[turn(CONVERSATION[0], moment, label=Label.CONFIDENTIAL)])
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).mark is Label.CONFIDENTIAL


async def test_a_session_above_the_clearance_is_not_found(sessions: SessionStore) -> None:
    await sessions.raise_mark("s", tenant="acme", user_id=None, label=Label.CONFIDENTIAL)
    with pytest.raises(NotFoundError):
        await sessions.read("s", tenant="acme", clearance=Label.INTERNAL)


async def test_the_same_session_id_of_another_tenant_is_another_session(
    sessions: SessionStore, moment: SetClock
) -> None:
    await sessions.raise_mark("s", tenant="acme", user_id=None, label=Label.CONFIDENTIAL)
    await sessions.append("s", tenant="acme", turns=[turn(CONVERSATION[0], moment)])
    other = await sessions.read("s", tenant="other", clearance=Label.PUBLIC)
    assert (other.mark, other.turns) == (Label.PUBLIC, ())
