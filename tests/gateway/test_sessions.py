"""`/sessions`, `/history` and sessions on every surface, from the front door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.models import Caller, Label
from app.services.auth import Authenticator
from app.services.conversation import HISTORY_TOKENS
from app.services.session_upkeep import SUMMARY_TASK
from app.services.titles import TITLE_TASK
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.answer import Answer, Behaviour
from tests.support.behaviours import CutMidStream, Script, SlowFirstToken, StallMidStream, Status
from tests.support.dialects.ollama import OllamaDialect, OllamaModel
from tests.support.http import RecordedRequest
from tests.support.process import ServiceProcess
from tests.support.service import running
from tests.support.upstream import ScriptedUpstream

IMAGE = "data:image/png;base64,iVBORw0KGgo="
TITLE = "Facts about water"
SUMMARY = "They spoke about water."


async def get(gateway: Gateway, path: str, *, status: int = 200) -> Any:
    async with gateway.service.client.get(path) as response:
        assert response.status == status, await response.text()
        assert response.headers.get("cache-control", "no-store") == "no-store"
        return await response.json()


async def delete(gateway: Gateway, path: str) -> int:
    async with gateway.service.client.delete(path) as response:
        return response.status


async def patch(gateway: Gateway, path: str, body: dict[str, Any], *, status: int = 200) -> Any:
    async with gateway.service.client.patch(path, json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def said(gateway: Gateway, session: str) -> list[tuple[str, str]]:
    """The roles and texts of the active branch."""
    read = await get(gateway, f"/sessions/{session}?limit=1000")
    return [(message["role"], message["content"]) for message in read["messages"]]


async def until(condition: Callable[[], Any]) -> Any:
    """Wait for what is done in the background."""
    async with asyncio.timeout(20):
        while not (value := await condition()):  # noqa: ASYNC110  (a client has nothing to wait for)
            await asyncio.sleep(0.01)
    return value


def sent(upstream: ScriptedUpstream) -> list[tuple[str, Any]]:
    """The roles and contents of the last call for an answer."""
    return [(message["role"], message["content"]) for message in upstream.completions[-1].json["messages"]]


def chores(upstream: ScriptedUpstream) -> list[RecordedRequest]:
    """The calls that were made in the background."""
    return [
        call for call in upstream.completions if TITLE_TASK.encode() in call.body or SUMMARY_TASK.encode() in call.body
    ]


def answering(*, title: Behaviour, summary: Behaviour, answer: Behaviour) -> Script:
    def script(request: RecordedRequest) -> Behaviour | None:
        if TITLE_TASK.encode() in request.body:
            return title
        if SUMMARY_TASK.encode() in request.body:
            return summary
        return answer if b'"messages"' in request.body else None

    return script


# Reading and changing


async def test_a_session_is_made_listed_read_renamed_and_deleted(quiet: Gateway) -> None:
    status, made = await quiet.post("/sessions", {"title": "Chemistry", "model_id": CLOUD, "user_id": "ada"})
    assert status == 201
    assert {"id", "title", "model_id", "created_at", "updated_at", "messages"} <= set(made)
    assert (made["title"], made["model_id"], made["messages"]) == ("Chemistry", CLOUD, [])
    path = f"/sessions/{made['id']}"
    await quiet.chat("What is water?", session_id=made["id"])
    read = await get(quiet, path)
    assert [message["content"] for message in read["messages"]] == ["What is water?", "Water boils at 100 degrees."]
    assert read["messages"][1]["model"] == CLOUD
    assert (await patch(quiet, path, {"title": "Water"}))["title"] == "Water"
    assert [session["title"] for session in (await get(quiet, "/sessions"))["sessions"]] == ["Water"]
    assert await delete(quiet, path) == 204
    await get(quiet, path, status=404)
    assert await delete(quiet, path) == 404
    assert (await get(quiet, "/sessions"))["sessions"] == []


async def test_no_body_sets_a_mark_and_an_id_is_given_once(quiet: Gateway) -> None:
    for field in ("sensitivity", "mark", "clearance", "tenant"):
        status, _ = await quiet.post("/sessions", {"id": "s", field: "public"})
        assert status == 422
        await patch(quiet, "/sessions/s", {field: "public"}, status=422)
    assert (await quiet.post("/sessions", {"id": "s"}))[0] == 201
    assert (await quiet.post("/sessions", {"id": "s"}))[0] == 409


async def test_sessions_are_searched_and_paged(quiet: Gateway) -> None:
    for number in range(3):
        await quiet.chat(f"Question {number}", session_id=f"s{number}", user_id="ada" if number else "bob")
    first = await get(quiet, "/sessions?limit=2")
    rest = await get(quiet, f"/sessions?limit=2&after={first['next']}")
    assert [session["id"] for session in first["sessions"] + rest["sessions"]] == ["s2", "s1", "s0"]
    assert rest["next"] is None
    found = await get(quiet, "/sessions?search=QUESTION 1")
    assert [session["id"] for session in found["sessions"]] == ["s1"]
    assert len((await get(quiet, "/sessions?user_id=ada"))["sessions"]) == 2
    await get(quiet, "/sessions?after=nonsense", status=422)


async def test_pictures_in_a_session_are_kept_shown_and_sent_again(quiet: Gateway) -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    messages = [{"role": "user", "content": content}]
    status, _ = await quiet.post("/chat", {"messages": messages, "session_id": "s", "model": "openai/gpt-4o"})
    assert status == 200
    shown = (await get(quiet, "/sessions/s"))["messages"][0]["content"]
    assert shown[0] == content[0]
    assert shown[1]["image_url"]["url"] == IMAGE
    await quiet.chat("Are you sure?", session_id="s", model="openai/gpt-4o")
    assert IMAGE in str(sent(quiet.cloud)[0])


async def test_an_export_holds_all_branches_or_reads_as_markdown(quiet: Gateway) -> None:
    await quiet.chat("First", session_id="s")
    await quiet.chat("Second", session_id="s", parent_id="root")
    export = await get(quiet, "/sessions/s/export")
    assert [message["content"] for message in export["messages"] if message["role"] == "user"] == ["First", "Second"]
    assert export["active"] == export["messages"][-1]["id"]
    async with quiet.service.client.get("/sessions/s/export?format=markdown") as response:
        text = await response.text()
    assert "## user\n\nSecond" in text
    assert "\n\nFirst\n" not in text


async def test_a_history_holds_what_a_named_user_said_in_sessions_and_without(quiet: Gateway) -> None:
    await quiet.chat("In a session", session_id="s", user_id="ada")
    earlier = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "known"}]
    await quiet.post("/chat", {"messages": [*earlier, {"role": "user", "content": "Without"}], "user_id": "ada"})
    await quiet.chat("Of nobody")
    history = (await get(quiet, "/history/ada"))["messages"]
    assert [message["content"] for message in history if message["role"] == "user"] == ["Without", "In a session"]
    assert [message["session_id"] for message in history] == [None, None, "s", "s"]
    assert await delete(quiet, "/history/ada") == 204
    assert len((await get(quiet, "/history/ada"))["messages"]) == 2


# Continuing


async def test_a_client_that_sends_its_whole_history_does_not_double_it(quiet: Gateway) -> None:
    """On `/v1`, with a system message each time; what is known is neither stored nor sent twice."""
    messages = [{"role": "system", "content": "Be brief."}]
    for number in range(3):
        messages.append({"role": "user", "content": f"Question {number}"})
        status, answer = await quiet.post(
            "/v1/chat/completions", {"model": "auto", "messages": messages, "session_id": "s"}
        )
        assert status == 200, answer
        messages.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})
    assert [text for _, text in await said(quiet, "s")] == [message["content"] for message in messages]
    assert [text for _, text in sent(quiet.cloud)] == [message["content"] for message in messages[:-1]]


async def test_a_client_that_changed_its_history_opens_a_branch_where_it_did(quiet: Gateway) -> None:
    for text in ("One", "Two"):
        await quiet.chat(text, session_id="s")
    (_, one), (_, answer), *_ = await said(quiet, "s")
    messages = [{"role": "user", "content": one}, {"role": "assistant", "content": answer}]
    await quiet.post("/chat", {"messages": [*messages, {"role": "user", "content": "Two, edited"}], "session_id": "s"})
    assert [text for role, text in await said(quiet, "s") if role == "user"] == ["One", "Two, edited"]
    assert len((await get(quiet, "/sessions/s"))["messages"][2]["siblings"]) == 2


async def test_an_edit_and_a_new_answer_are_branches_under_the_one_mark(quiet: Gateway, canary: str) -> None:
    first = await quiet.chat(f"Who is {canary}?", session_id="s", sensitivity="confidential")
    messages = (await get(quiet, "/sessions/s"))["messages"]
    assert messages[1]["id"] == first["id"]
    edited = await quiet.chat("Who are you?", session_id="s", parent_id=messages[0]["parent_id"], sensitivity="public")
    assert edited["sensitivity"] == "confidential"
    assert await said(quiet, "s") == [("user", "Who are you?"), ("assistant", edited["message"])]
    assert canary not in str(sent(quiet.local))
    status, anew = await quiet.post("/chat", {"session_id": "s", "regenerate": first["id"]})
    assert status == 200, anew
    assert anew["cached"] is False
    read = (await get(quiet, "/sessions/s"))["messages"]
    assert [message["id"] for message in read] == [messages[0]["id"], anew["id"]]
    assert read[1]["siblings"] == [first["id"], anew["id"]]
    await patch(quiet, "/sessions/s", {"active": edited["id"]})
    assert (await said(quiet, "s"))[0] == ("user", "Who are you?")
    assert quiet.cloud.completions == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"message": "Hi", "parent_id": "0"}, 422),
        ({"message": "Hi", "session_id": "s", "parent_id": "0"}, 404),
        ({"session_id": "s", "regenerate": "0"}, 404),
        ({"session_id": "s"}, 422),
        ({"message": "Hi", "session_id": "s", "regenerate": "0"}, 422),
    ],
)
async def test_a_place_that_is_not_there_is_refused(quiet: Gateway, body: dict[str, Any], status: int) -> None:
    assert (await quiet.post("/chat", body))[0] == status


async def test_a_session_answers_by_its_model_where_a_request_names_none(quiet: Gateway) -> None:
    await quiet.post("/sessions", {"id": "s", "model_id": LOCAL})
    assert (await quiet.chat("Hi", session_id="s"))["model_used"] == LOCAL
    assert (await quiet.chat("Hi", session_id="s", model=CLOUD))["model_used"] == CLOUD


async def test_what_is_too_far_back_is_trimmed_and_the_route_says_so(quiet: Gateway) -> None:
    system = {"role": "system", "content": "Be brief."}
    await quiet.post("/chat", {"messages": [system, {"role": "user", "content": "Begin"}], "session_id": "s"})
    assert (await quiet.chat("Whole?", session_id="s"))["route"]["history"] == "whole"
    long = "water " * (HISTORY_TOKENS // 3)
    for _ in range(3):
        await quiet.chat(long, session_id="s")
    answer = await quiet.chat("Now?", session_id="s")
    assert answer["route"]["history"] == "trimmed"
    messages = sent(quiet.cloud)
    assert messages[0] == ("system", "Be brief.")
    assert messages[1][0] == "user"
    assert "Begin" not in str(messages)
    assert messages[-1] == ("user", "Now?")


async def test_a_session_is_trimmed_to_the_only_model_that_may_have_it(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    """A confidential session that no local model's window holds is sent as far as it fits."""
    small = OllamaDialect(models=(OllamaModel(name="llama3:latest", context_length=8_192),))
    async with ScriptedUpstream(small) as local:
        settings = cloud_settings(openai_upstream) | {"ollama_base_url": local.origin, "vector_store": "memory"}
        async with running(tmp_path, session_upkeep="none", **settings) as service:
            gateway = Gateway(service=service, cloud=openai_upstream, local=local)
            for _ in range(3):
                await gateway.chat("water " * 3_500, session_id="s", sensitivity="confidential")
            answer = await gateway.chat("Now?", session_id="s")
            assert (answer["model_used"], answer["route"]["history"]) == (LOCAL, "trimmed")
            assert 3 <= len(sent(local)) <= 5
            assert openai_upstream.completions == []


# Who may read


class AlwaysThis(Authenticator):
    """Takes every credential for one caller's."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def identify(self, credential: str | None) -> Caller:
        del credential
        return self._caller


def asks_as(gateway: Gateway, caller: Caller) -> None:
    """From now on every request is this caller's."""
    state = gateway.service.app.state
    state.services = replace(state.services, authenticator=AlwaysThis(caller))


async def test_sessions_beyond_clearance_or_tenant_are_not_there(quiet: Gateway, canary: str) -> None:
    """Neither read, listed, searched, exported, changed, deleted nor continued; whoever may read them does."""
    await quiet.chat(f"Who is {canary}?", session_id="s", user_id="ada", sensitivity="confidential")
    await quiet.chat(f"Where is {canary}?", user_id="ada", sensitivity="confidential")
    for caller in (Caller(clearance=Label.INTERNAL), Caller(tenant="other")):
        asks_as(quiet, caller)
        for path in ("/sessions/s", "/sessions/s/export", "/sessions/s/export?format=markdown"):
            await get(quiet, path, status=404)
        await patch(quiet, "/sessions/s", {"title": "mine"}, status=404)
        assert await delete(quiet, "/sessions/s") == 404
        for path in ("/sessions", f"/sessions?search={canary}", "/history/ada"):
            assert canary not in str(await get(quiet, path))
        assert (await get(quiet, "/sessions"))["sessions"] == []
    for caller in (Caller(user="bob"), Caller(user="ada", tenant="other")):
        asks_as(quiet, caller)
        await get(quiet, "/sessions/s", status=404)
        assert (await get(quiet, "/sessions"))["sessions"] == []
    asks_as(quiet, Caller(user="bob"))
    await get(quiet, "/history/ada", status=404)
    assert await delete(quiet, "/sessions/s") == 404
    assert (await quiet.post("/chat", {"message": "And?", "session_id": "s"}))[0] == 404
    asks_as(quiet, Caller(clearance=Label.INTERNAL))
    assert (await quiet.post("/chat", {"message": "And?", "session_id": "s"}))[0] == 404
    for caller in (Caller(), Caller(user="ada"), Caller(user="bob", key_id="shared")):
        asks_as(quiet, caller)
        for path in ("/sessions/s", "/sessions/s/export", f"/sessions?search={canary}", "/history/ada"):
            assert canary in str(await get(quiet, path))


# Beside requests


async def test_a_title_is_made_in_the_background_and_a_users_is_left_alone(gateway: Gateway) -> None:
    answer = Answer(pieces=["Water boils."])
    gateway.cloud.script = answering(title=Answer(pieces=[f'"{TITLE}"']), summary=Status(500), answer=answer)
    await gateway.post("/sessions", {"id": "named", "title": "Mine"})
    await gateway.chat("What is water? " * 20, session_id="named")
    await gateway.chat("What is water?", session_id="s")

    async def title() -> bool:
        return bool((await get(gateway, "/sessions/s"))["title"] == TITLE)

    await until(title)
    assert (await get(gateway, "/sessions/named"))["title"] == "Mine"
    assert len(chores(gateway.cloud)) == 1


async def test_without_a_model_that_may_title_the_first_words_do(gateway: Gateway, canary: str) -> None:
    """A confidential session is titled by local models or by none; its public twin is titled in the cloud."""
    gateway.local.script = answering(title=Status(500), summary=Status(500), answer=Answer(pieces=["Well."]))
    await gateway.chat(f"Who is {canary}?", session_id="secret", sensitivity="confidential")

    async def tried() -> int:
        return len(chores(gateway.local))

    await until(tried)
    assert (await get(gateway, "/sessions/secret"))["title"] == f"Who is {canary}?"
    assert canary.encode() not in gateway.cloud.received
    await gateway.chat(f"Who is {canary}?", session_id="open", sensitivity="public")

    async def tried_in_the_cloud() -> int:
        return len(chores(gateway.cloud))

    await until(tried_in_the_cloud)
    assert canary.encode() in chores(gateway.cloud)[0].body


@pytest.mark.parametrize("label", ["confidential", "public"])
async def test_what_is_far_back_is_summarised_by_a_model_cleared_for_the_session(
    gateway: Gateway, canary: str, label: str
) -> None:
    """A confidential session is summarised locally, its public twin in the cloud, and the summary is sent on."""
    # A title that failed would tell against the model that is to make the summary.
    title = Answer(pieces=["Water"])
    script = answering(title=title, summary=Answer(pieces=[SUMMARY]), answer=Answer(pieces=["Well."]))
    gateway.cloud.script = gateway.local.script = script
    chosen = gateway.local if label == "confidential" else gateway.cloud
    await gateway.chat(f"Who is {canary}?", session_id="s", sensitivity=label)
    filler = "water " * 2_000
    for _ in range(8):
        answer = await gateway.chat(filler, session_id="s", cache=False)

    async def summarised() -> bool:
        answer = await gateway.chat("And now?", session_id="s", cache=False)
        return SUMMARY in str(sent(chosen)) and bool(answer["route"]["history"] == "summary")

    await until(summarised)
    assert answer["sensitivity"] == label
    calls = [call for call in chores(chosen) if SUMMARY_TASK.encode() in call.body]
    assert canary.encode() in calls[0].body
    if label == "confidential":
        assert canary.encode() not in gateway.cloud.received


# Deleting and keeping


async def test_an_answer_that_is_running_does_not_bring_a_deleted_session_back(gateway: Gateway, canary: str) -> None:
    gate = asyncio.Event()
    await gateway.chat("Hello", session_id="s", cache=False)
    gateway.cloud.script = SlowFirstToken(gate=gate)
    seen = len(gateway.cloud.requests)
    running_answer = asyncio.create_task(gateway.post("/chat", {"message": f"Who is {canary}?", "session_id": "s"}))
    await gateway.cloud.wait_requests(seen + 1)
    assert await delete(gateway, "/sessions/s") in (202, 204)
    gate.set()
    status, _ = await running_answer
    assert status == 200
    await get(gateway, "/sessions/s", status=404)
    assert (await get(gateway, "/sessions"))["sessions"] == []


async def test_nothing_of_a_deleted_session_is_left_on_the_disk(quiet: Gateway, canary: str) -> None:
    await quiet.chat(f"Who is {canary}?", session_id="s")
    data = quiet.service.settings.data_dir
    assert any(canary.encode() in path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert await delete(quiet, "/sessions/s") == 204
    assert not any(canary.encode() in path.read_bytes() for path in data.rglob("*") if path.is_file())


async def test_a_turn_that_the_client_saw_done_survives_kill_9(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    environment = {
        "OPENAI_BASE_URL": f"{openai_upstream.origin}/v1",
        "OPENAI_API_KEY": "made-up",
        "VECTOR_STORE": "memory",
    }
    environment |= {"MODEL_SIMPLE": CLOUD, "SESSION_UPKEEP": "none"}
    async with ServiceProcess(tmp_path, environment=environment) as service:
        body = {"message": "What is water?", "session_id": "s", "complexity": "simple"}
        async with service.client.post("/chat/stream", json=body) as response:
            async for line in response.content:
                if b'"done"' in line:
                    break
            await service.restart()
        async with service.client.get("/sessions/s") as response:
            messages = (await response.json())["messages"]
    assert [message["content"] for message in messages] == ["What is water?", "Water boils at 100 degrees."]
    assert messages[1]["complete"] is True


async def test_a_stream_that_the_client_leaves_or_that_breaks_is_kept_and_marked(quiet: Gateway) -> None:
    quiet.cloud.script = CutMidStream(after=2)
    async with quiet.service.client.post("/chat/stream", json={"message": "Hi", "session_id": "broken"}) as response:
        assert b"error" in await response.read()
    quiet.cloud.script = StallMidStream(after=2)
    async with quiet.service.client.post("/chat/stream", json={"message": "Hi", "session_id": "left"}) as response:
        while b"content" not in await anext(aiter(response.content)):
            pass
    await quiet.cloud.wait_cancelled(1)

    for session in ("broken", "left"):

        async def kept(session: str = session) -> Any:
            return (await get(quiet, f"/sessions/{session}"))["messages"]

        question, answer = await until(kept)
        assert question["complete"] is True
        assert answer["complete"] is False
        assert "Water boils at 100 degrees.".startswith(answer["content"])
        assert answer["content"]


async def test_a_client_that_leaves_while_its_turn_is_being_stored_does_not_lose_it(quiet: Gateway) -> None:
    """All of the answer has been sent; the client leaves before it is told that that was all."""
    await quiet.chat("Hello", session_id="s")
    gate = asyncio.Event()
    quiet.cloud.script = SlowFirstToken(gate=gate)
    seen = len(quiet.cloud.requests)
    database = quiet.service.app.state.services.documents._database
    body = {"message": "What is water?", "session_id": "s"}
    leaving = asyncio.create_task(read_up_to(quiet, body, end=b"degrees"))
    await quiet.cloud.wait_requests(seen + 1)
    async with database.write():  # nothing else is stored meanwhile
        gate.set()
        await leaving

    async def kept() -> Any:
        messages = (await get(quiet, "/sessions/s"))["messages"]
        return messages if len(messages) > 2 else None

    _, _, question, answer = await until(kept)
    assert question["content"] == "What is water?"
    assert answer["content"] == "Water boils at 100 degrees."
    assert answer["complete"] is True


async def read_up_to(gateway: Gateway, body: dict[str, Any], *, end: bytes) -> None:
    """Read a stream until it says this, and leave."""
    async with gateway.service.client.post("/chat/stream", json=body) as response:
        async for line in response.content:
            if end in line:
                return


async def test_answers_at_once_are_both_kept_each_behind_its_question(quiet: Gateway) -> None:
    await asyncio.gather(*(quiet.chat(f"Question {number}", session_id="s") for number in range(4)))
    path = await said(quiet, "s")
    assert [role for role, _ in path] == ["user", "assistant"] * 4
    assert {text for role, text in path if role == "user"} == {f"Question {number}" for number in range(4)}
