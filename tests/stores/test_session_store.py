"""What every session store keeps to: turns in their order and branches, marks that never fall, tenants apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.models import ImagePart, Label, Message, Role, TextPart, ToolCall
from app.protocols import SessionStore
from app.records import ROOT, SessionChange, SessionEntry, SessionQuery, Summary, TitleSource, Turn
from app.services.placing import digest
from tests.stores.records import SetClock

ALL = Label.CONFIDENTIAL
CONVERSATION = (
    Message(role="user", parts=(TextPart("What is it? \x00 ü"), ImagePart("data:image/png;base64,AA==", detail="low"))),
    Message(role="assistant", tool_calls=(ToolCall(id="c1", name="look", arguments='{"at": 1}'),)),
    Message(role="tool", parts=(TextPart("a cat"),), tool_call_id="c1", name="look"),
)
IDS = count(1)


def turn(
    message: Message | str,
    moment: SetClock,
    *,
    role: Role = "user",
    label: Label = Label.PUBLIC,
    complete: bool = True,
    tokens: int = 10,
) -> Turn:
    said = Message.of(role, message) if isinstance(message, str) else message
    return Turn(
        id=f"{next(IDS):032x}",
        message=said,
        label=label,
        created_at=moment(),
        model="ollama/llama3",
        complete=complete,
        tokens=tokens,
        digest=digest(said),
    )


async def begin(sessions: SessionStore, id: str = "s", *, tenant: str = "acme", label: Label = Label.PUBLIC) -> str:
    incarnation = await sessions.raise_mark(id, tenant=tenant, user_id="ada", label=label)
    assert incarnation is not None
    return incarnation


async def talk(
    sessions: SessionStore, moment: SetClock, *texts: str, id: str = "s", after: str | None = None
) -> list[str]:
    """Questions and answers in turn; the ids they got."""
    incarnation = await begin(sessions, id)
    turns = [turn(text, moment, role="assistant" if at % 2 else "user") for at, text in enumerate(texts)]
    assert await sessions.append(id, tenant="acme", incarnation=incarnation, turns=turns, after=after)
    return [each.id for each in turns]


async def texts(sessions: SessionStore, id: str = "s", *, tokens: int = 0, after: str | None = None) -> list[str]:
    read = await sessions.read(id, tenant="acme", clearance=ALL, tokens=tokens, after=after)
    return [each.message.text for each in read.turns]


def bare(turns: Sequence[Turn]) -> list[Turn]:
    """Without where they stand in the tree."""
    return [replace(each, parent_id=ROOT, siblings=()) for each in turns]


# Turns and marks


async def test_an_unknown_session_is_empty_and_reading_does_not_make_it(
    sessions: SessionStore, moment: SetClock
) -> None:
    for _ in range(2):
        session = await sessions.read("s", tenant="acme", clearance=Label.PUBLIC)
        assert (session.mark, session.turns, session.incarnation) == (Label.PUBLIC, (), None)
    kept = await sessions.append("s", tenant="acme", incarnation="none", turns=[turn(CONVERSATION[0], moment)])
    assert not kept
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).turns == ()


async def test_turns_come_back_as_they_were_said_and_in_their_order(sessions: SessionStore, moment: SetClock) -> None:
    incarnation = await begin(sessions)
    said = tuple(turn(message, moment, complete=message.role != "tool") for message in CONVERSATION)
    await sessions.append("s", tenant="acme", incarnation=incarnation, turns=said[:1])
    await sessions.append("s", tenant="acme", incarnation=incarnation, turns=said[1:])
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).turns == said
    page, _ = await sessions.messages("s", tenant="acme", clearance=ALL, limit=10, before=None)
    assert bare(page) == list(said)
    assert [each.parent_id for each in page] == [ROOT, said[0].id, said[1].id]


async def test_a_mark_rises_and_never_falls(sessions: SessionStore) -> None:
    marks = []
    for label in (Label.INTERNAL, Label.PUBLIC, Label.CONFIDENTIAL, Label.INTERNAL):
        await sessions.raise_mark("s", tenant="acme", label=label)
        marks.append((await sessions.read("s", tenant="acme", clearance=ALL)).mark)
    assert marks == [Label.INTERNAL, Label.INTERNAL, Label.CONFIDENTIAL, Label.CONFIDENTIAL]


async def test_marks_raised_at_once_end_at_the_highest(sessions: SessionStore) -> None:
    labels = [Label.INTERNAL, Label.CONFIDENTIAL, Label.PUBLIC] * 5
    made = await asyncio.gather(*(sessions.raise_mark("s", tenant="acme", label=label) for label in labels))
    assert len(set(made)) == 1
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).mark is Label.CONFIDENTIAL


async def test_a_turn_takes_the_mark_with_it(sessions: SessionStore, moment: SetClock) -> None:
    incarnation = await begin(sessions)
    secret = turn(CONVERSATION[0], moment, label=Label.CONFIDENTIAL)
    await sessions.append("s", tenant="acme", incarnation=incarnation, turns=[secret])
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).mark is Label.CONFIDENTIAL


async def test_a_session_above_the_clearance_is_not_found(sessions: SessionStore, moment: SetClock) -> None:
    """Whatever is asked of it, as if it were not there; and lists do not show it."""
    await talk(sessions, moment, "a question")
    await begin(sessions, label=Label.CONFIDENTIAL)
    change = SessionChange(title="mine")
    for asked in (
        sessions.read("s", tenant="acme", clearance=Label.INTERNAL),
        sessions.entry("s", tenant="acme", clearance=Label.INTERNAL),
        sessions.messages("s", tenant="acme", clearance=Label.INTERNAL, limit=1, before=None),
        sessions.every_message("s", tenant="acme", clearance=Label.INTERNAL),
        sessions.change("s", change, tenant="acme", clearance=Label.INTERNAL),
        sessions.delete("s", tenant="acme", clearance=Label.INTERNAL),
    ):
        with pytest.raises(NotFoundError):
            await asked
    listed, _ = await sessions.page(SessionQuery(), tenant="acme", clearance=Label.INTERNAL, limit=9, after=None)
    assert listed == []
    assert await sessions.history("ada", tenant="acme", clearance=Label.INTERNAL, limit=9) == []
    assert await texts(sessions) == ["a question"]


async def test_the_same_session_id_of_another_tenant_is_another_session(
    sessions: SessionStore, moment: SetClock
) -> None:
    (mine,) = await talk(sessions, moment, "mine")
    await begin(sessions, label=Label.CONFIDENTIAL)
    other = await sessions.read("s", tenant="other", clearance=Label.PUBLIC)
    assert (other.mark, other.turns) == (Label.PUBLIC, ())
    await begin(sessions, tenant="other")
    for after in (mine, "no such message"):
        with pytest.raises(NotFoundError):
            await sessions.read("s", tenant="other", clearance=ALL, after=after)
    for asked in (
        sessions.change("s", SessionChange(active=mine), tenant="other", clearance=ALL),
        sessions.messages("s", tenant="other", clearance=ALL, limit=1, before=mine),
    ):
        with pytest.raises(NotFoundError):
            await asked
    assert await sessions.history("ada", tenant="other", clearance=ALL, limit=9) == []


# Branches


async def test_a_turn_behind_an_earlier_one_opens_a_branch_which_is_then_the_active_one(
    sessions: SessionStore, moment: SetClock
) -> None:
    question, answer, more, _ = await talk(sessions, moment, "Q", "A", "Q2", "A2")
    edited, _ = await talk(sessions, moment, "Q2 edited", "A2 edited", after=answer)
    assert await texts(sessions) == ["Q", "A", "Q2 edited", "A2 edited"]
    page, _ = await sessions.messages("s", tenant="acme", clearance=ALL, limit=9, before=None)
    assert [each.siblings for each in page][:3] == [(question,), (answer,), (more, edited)]
    assert await texts(sessions, after=more) == ["Q", "A", "Q2"]
    every = await sessions.every_message("s", tenant="acme", clearance=ALL)
    assert [each.message.text for each in every] == ["Q", "A", "Q2", "A2", "Q2 edited", "A2 edited"]


async def test_a_branch_may_begin_before_the_first_turn(sessions: SessionStore, moment: SetClock) -> None:
    first, _ = await talk(sessions, moment, "Q", "A")
    again, _ = await talk(sessions, moment, "Q again", "A again", after=ROOT)
    assert await texts(sessions) == ["Q again", "A again"]
    page, _ = await sessions.messages("s", tenant="acme", clearance=ALL, limit=9, before=None)
    assert page[0].siblings == (first, again)
    assert page[0].parent_id == ROOT


async def test_an_earlier_branch_is_shown_again_up_to_its_newest_turn(sessions: SessionStore, moment: SetClock) -> None:
    _, answer, more, _ = await talk(sessions, moment, "Q", "A", "Q2", "A2")
    await talk(sessions, moment, "other", "other answer", after=answer)
    await sessions.change("s", SessionChange(active=more), tenant="acme", clearance=ALL)
    assert await texts(sessions) == ["Q", "A", "Q2", "A2"]


async def test_two_answers_at_once_are_both_kept_one_behind_the_other(sessions: SessionStore, moment: SetClock) -> None:
    await talk(sessions, moment, "Q", "A")
    await asyncio.gather(*(talk(sessions, moment, f"Q{number}", f"A{number}") for number in range(4)))
    path = await texts(sessions)
    assert len(path) == 10
    for question, answer in zip(path[::2], path[1::2], strict=True):
        assert question[1:] == answer[1:]


async def test_only_an_answer_can_be_given_anew(sessions: SessionStore, moment: SetClock) -> None:
    question, answer = await talk(sessions, moment, "Q", "A")
    assert await sessions.parent("s", tenant="acme", message=answer) == question
    for message in (question, "none"):
        with pytest.raises(NotFoundError):
            await sessions.parent("s", tenant="acme", message=message)


# Long sessions


async def test_the_newest_turns_within_the_tokens_are_read_and_every_system_message(
    sessions: SessionStore, moment: SetClock
) -> None:
    incarnation = await begin(sessions)
    rule = turn("Be brief.", moment, role="system", tokens=1000)
    said = [turn(f"t{number}", moment) for number in range(6)]
    await sessions.append("s", tenant="acme", incarnation=incarnation, turns=[rule, *said])
    assert await texts(sessions, tokens=30) == ["Be brief.", "t3", "t4", "t5"]
    assert (await sessions.read("s", tenant="acme", clearance=ALL, tokens=30)).left_out == 3
    assert await texts(sessions, tokens=1) == ["Be brief.", "t5"]
    assert await texts(sessions, tokens=60) == ["Be brief.", *(each.message.text for each in said)]


async def test_what_a_summary_covers_is_not_read_and_its_label_marks_the_session(
    sessions: SessionStore, moment: SetClock
) -> None:
    question, answer, _, _ = await talk(sessions, moment, "Q", "A", "Q2", "A2")
    incarnation = await begin(sessions)
    summary = Summary(text="They said hello.", label=Label.INTERNAL, through=answer)
    await sessions.keep_summary("s", summary, tenant="acme", incarnation="another")
    assert (await sessions.read("s", tenant="acme", clearance=ALL)).summary is None
    await sessions.keep_summary("s", summary, tenant="acme", incarnation=incarnation)
    read = await sessions.read("s", tenant="acme", clearance=ALL)
    assert [each.message.text for each in read.turns] == ["Q2", "A2"]
    assert (read.summary, read.mark, read.left_out) == (summary, Label.INTERNAL, 0)
    earlier = await sessions.read("s", tenant="acme", clearance=ALL, after=question)
    assert earlier.summary is None, "a branch that leaves before the summary's end is not what it is of"


async def test_a_session_of_thousands_of_messages_is_read_in_pages(
    sessions: SessionStore, moment: SetClock, request: pytest.FixtureRequest
) -> None:
    # The stand-in for DynamoDB copies its whole table for each transaction.
    count = 500 if "dynamodb" in request.node.name else 5_000
    said = [f"t{number}" for number in range(count)]
    await talk(sessions, moment, *said)
    read: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await sessions.messages("s", tenant="acme", clearance=ALL, limit=count // 5, before=cursor)
        read = [each.message.text for each in page] + read
        if cursor is None:
            break
    assert read == said
    assert len(await sessions.outline("s", tenant="acme")) == count
    assert await texts(sessions, tokens=40) == said[-4:]


# Lists


async def test_sessions_are_listed_page_by_page_those_that_changed_last_first(
    sessions: SessionStore, moment: SetClock
) -> None:
    for number in range(5):
        moment.advance(1)
        await talk(sessions, moment, "hello", id=f"s{number}")
    await talk(sessions, moment, "again", id="s2")
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await sessions.page(SessionQuery(), tenant="acme", clearance=ALL, limit=2, after=cursor)
        listed += [entry.id for entry in page]
        if cursor is None:
            break
    assert listed == ["s2", "s4", "s3", "s1", "s0"]
    with pytest.raises(InvalidRequestError):
        await sessions.page(SessionQuery(), tenant="acme", clearance=ALL, limit=2, after="no cursor")


async def test_a_search_finds_titles_and_messages_in_any_case_and_takes_every_sign_as_it_is(
    sessions: SessionStore, moment: SetClock
) -> None:
    await talk(sessions, moment, "Die GRÖSSE ist 100%", id="size")
    await talk(sessions, moment, "100 is a number", id="number")
    await sessions.change("number", SessionChange(title="Über_Zahlen \\"), tenant="acme", clearance=ALL)
    for text, ids in (
        ("größe", ["size"]),
        ("100%", ["size"]),
        ("über_z", ["number"]),
        ("ber%Z", []),
        ("\\", ["number"]),
    ):
        page, _ = await sessions.page(SessionQuery(text=text), tenant="acme", clearance=ALL, limit=9, after=None)
        assert [entry.id for entry in page] == ids, text
    page, _ = await sessions.page(SessionQuery(user_id="bob"), tenant="acme", clearance=ALL, limit=9, after=None)
    assert page == []


async def test_a_history_holds_the_newest_turns_of_a_user_in_sessions_and_without(
    sessions: SessionStore, moment: SetClock
) -> None:
    await talk(sessions, moment, "in a session")
    moment.advance(1)
    secret = turn("secret", moment, label=Label.CONFIDENTIAL)
    await sessions.keep_loose("ada", tenant="acme", turns=[turn("without one", moment), secret])
    await sessions.keep_loose("bob", tenant="acme", turns=[turn("somebody else's", moment)])
    past = await sessions.history("ada", tenant="acme", clearance=ALL, limit=9)
    assert [(each.turn.message.text, each.session_id) for each in past] == [
        ("secret", None),
        ("without one", None),
        ("in a session", "s"),
    ]
    below = await sessions.history("ada", tenant="acme", clearance=Label.INTERNAL, limit=1)
    assert [each.turn.message.text for each in below] == ["without one"]
    await sessions.delete_loose("ada", tenant="acme", clearance=ALL)
    assert len(await sessions.history("ada", tenant="acme", clearance=ALL, limit=9)) == 1


# Names and ends


async def test_a_title_of_words_gives_way_to_a_models_and_both_to_a_users(
    sessions: SessionStore, moment: SetClock
) -> None:
    incarnation = await begin(sessions)

    async def title() -> tuple[str | None, TitleSource | None]:
        entry = await sessions.entry("s", tenant="acme", clearance=ALL)
        return entry.title, (await sessions.read("s", tenant="acme", clearance=ALL)).title_source

    for words in ("first words", "later words"):
        await sessions.append("s", tenant="acme", incarnation=incarnation, turns=[turn("Q", moment)], title=words)
    assert await title() == ("first words", TitleSource.WORDS)
    await sessions.suggest_title("s", tenant="acme", incarnation="another", title="not mine")
    await sessions.suggest_title("s", tenant="acme", incarnation=incarnation, title="a model's")
    assert await title() == ("a model's", TitleSource.MODEL)
    await sessions.change("s", SessionChange(title="a user's", model_id="m"), tenant="acme", clearance=ALL)
    await sessions.suggest_title("s", tenant="acme", incarnation=incarnation, title="a model's")
    assert await title() == ("a user's", TitleSource.USER)


async def test_a_session_is_made_once(sessions: SessionStore, moment: SetClock) -> None:
    new = SessionEntry(id="s", mark=Label.PUBLIC, created_at=moment(), updated_at=moment(), title="T", model_id="m")
    assert await sessions.create(new, tenant="acme") == new
    with pytest.raises(ConflictError):
        await sessions.create(new, tenant="acme")


async def test_a_late_write_to_a_deleted_session_is_discarded_even_if_its_id_is_in_use_again(
    sessions: SessionStore, moment: SetClock
) -> None:
    (message,) = await talk(sessions, moment, "Q")
    incarnation = await begin(sessions)
    await sessions.delete("s", tenant="acme", clearance=ALL)
    for _ in range(2):
        late = await sessions.raise_mark("s", tenant="acme", label=Label.CONFIDENTIAL, incarnation=incarnation)
        assert late is None
        assert not await sessions.append("s", tenant="acme", incarnation=incarnation, turns=[turn("late", moment)])
        await sessions.suggest_title("s", tenant="acme", incarnation=incarnation, title="late")
        summary = Summary(text="late", label=Label.CONFIDENTIAL, through=message)
        await sessions.keep_summary("s", summary, tenant="acme", incarnation=incarnation)
        read = await sessions.read("s", tenant="acme", clearance=Label.PUBLIC)
        assert (read.turns, read.mark) == ((), Label.PUBLIC)
        await begin(sessions)
    with pytest.raises(NotFoundError):
        await sessions.read("s", tenant="acme", clearance=ALL, after=message)


async def test_what_has_not_changed_for_long_is_deleted(sessions: SessionStore, moment: SetClock) -> None:
    await talk(sessions, moment, "old", id="old")
    await sessions.keep_loose("ada", tenant="acme", turns=[turn("old", moment)])
    moment.advance(100)
    await talk(sessions, moment, "new", id="new")
    assert await sessions.delete_older(moment() - timedelta(seconds=50)) == 2
    assert await texts(sessions, "old") == []
    assert await texts(sessions, "new") == ["new"]
    assert len(await sessions.history("ada", tenant="acme", clearance=ALL, limit=9)) == 1
    assert await sessions.erase_traces()
