"""The sockets, with a real client over real connections."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from app.limits import EdgeLimit, TokenBuckets
from app.models import Caller, ChatRequest, Delta, Event, Label
from app.routers.sockets.conversation import SocketLimits
from app.routers.sockets.router import create_router
from app.services.gateway import Gateway as Pipeline
from app.wiring import Services
from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.answer import Answer
from tests.support.asgi import serving
from tests.support.behaviours import ErrorMidStream, StallMidStream, Status
from tests.support.service import Service, running

TEXT = "Water boils at 100 degrees."


@asynccontextmanager
async def socket(url: str, path: str = "/websockets/chat/s1", **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws{url.removeprefix('http')}{path}", proxy=None, **options) as connection:
        yield connection


async def send(connection: ClientConnection, **frame: Any) -> None:
    await connection.send(json.dumps(frame))


async def receive(connection: ClientConnection) -> Any:
    return json.loads(await connection.recv())


async def turn(connection: ClientConnection, **frame: Any) -> list[Any]:
    """Send a message; the frames of its answer."""
    await send(connection, **frame)
    return await rest_of_turn(connection)


async def rest_of_turn(connection: ClientConnection) -> list[Any]:
    frames = []
    while True:
        frame = await receive(connection)
        frames.append(frame)
        if frame.keys() & {"done", "error", "stopped"}:
            return frames


def text_of(frames: Sequence[Any]) -> str:
    return "".join(frame.get("content", "") for frame in frames)


async def turns_of(service: Service, session_id: str) -> Any:
    """The stored turns of a session, from the pipeline's own store."""
    services: Services = service.app.state.services
    pipeline: Pipeline = services.gateway
    return (await pipeline._sessions._store.read(session_id, tenant="default", clearance=Label.CONFIDENTIAL)).turns


async def test_an_answer_is_the_frames_that_a_stream_has(gateway: Gateway) -> None:
    async with socket(gateway.service.url) as connection:
        first, *pieces, last = await turn(connection, message="When does water boil?")
    assert set(first) == {"model", "id", "route"}
    assert first["model"] == CLOUD
    assert len(pieces) > 1
    assert text_of(pieces) == TEXT
    assert last["done"] is True
    assert last["usage"]["total_tokens"] == 18
    assert last["citations"] == []


async def test_many_turns_on_one_socket_know_of_each_other(gateway: Gateway) -> None:
    async with socket(gateway.service.url) as connection:
        await turn(connection, type="message", message="When does water boil?")
        await turn(connection, message="And on a mountain?")
    roles = [message["role"] for message in gateway.cloud.completions[-1].json["messages"]]
    assert roles == ["user", "assistant", "user"]


async def test_a_conversation_goes_on_over_http_and_another_socket(gateway: Gateway) -> None:
    await gateway.chat("When does water boil?", session_id="s1")
    async with socket(gateway.service.url) as connection:
        await turn(connection, message="And on a mountain?")
    assert len(gateway.cloud.completions[-1].json["messages"]) == 3


async def test_messages_sent_at_once_are_answered_in_their_order(gateway: Gateway) -> None:
    async with socket(gateway.service.url, "/websockets/openrouter") as connection:
        for number in range(3):
            await send(connection, messages=[{"role": "user", "content": f"Question {number}?"}])
        turns = [await rest_of_turn(connection) for _ in range(3)]
    assert [text_of(frames) for frames in turns] == [TEXT] * 3
    asked = [request.json["messages"][-1]["content"] for request in gateway.cloud.completions]
    assert asked == ["Question 0?", "Question 1?", "Question 2?"]


async def test_the_stateless_socket_takes_messages_model_and_temperature_and_keeps_nothing(gateway: Gateway) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When does water boil?"}]
    async with socket(gateway.service.url, "/websockets/openrouter") as connection:
        first, *_ = await turn(connection, messages=messages, model=CLOUD, temperature=0.1)
        await turn(connection, message="And on a mountain?")
    assert first["model"] == CLOUD
    assert gateway.cloud.completions[0].json["messages"] == messages
    assert gateway.cloud.completions[0].json["temperature"] == 0.1
    assert len(gateway.cloud.completions[1].json["messages"]) == 1


async def test_a_stop_ends_the_running_answer_and_the_socket_goes_on(gateway: Gateway) -> None:
    gateway.cloud.script = [StallMidStream(after=2), Answer("Later.")]
    async with socket(gateway.service.url) as connection:
        await send(connection, message="When does water boil?")
        began = [await receive(connection) for _ in range(3)]
        await send(connection, type="stop")
        assert await rest_of_turn(connection) == [{"stopped": True}]
        await gateway.cloud.wait_cancelled()
        assert text_of(await turn(connection, message="And on a mountain?")) == "Later."
    turns = await turns_of(gateway.service, "s1")
    assert [turn.complete for turn in turns] == [True, False, True, True]
    assert turns[1].message.text == text_of(began)


async def test_a_stop_when_nothing_runs_is_no_error(gateway: Gateway) -> None:
    async with socket(gateway.service.url) as connection:
        await send(connection, type="stop")
        assert text_of(await turn(connection, message="When does water boil?")) == TEXT


async def test_a_socket_cut_in_mid_answer_ends_the_upstream_call_at_once_and_keeps_the_turn_so_far(
    gateway: Gateway,
) -> None:
    gateway.cloud.script = StallMidStream(after=2)
    async with socket(gateway.service.url) as connection:
        await send(connection, message="When does water boil?")
        began = [await receive(connection) for _ in range(3)]
        connection.transport.abort()
        await gateway.cloud.wait_cancelled(within=0.1)
    async with asyncio.timeout(5):
        while not (turns := await turns_of(gateway.service, "s1")):
            pass  # each look reads the store, which lets the gateway go on
    assert [turn.complete for turn in turns] == [True, False]
    assert turns[1].message.text == text_of(began)


async def test_a_failure_upstream_is_an_error_frame_and_the_socket_goes_on(gateway: Gateway) -> None:
    gateway.cloud.script = [Status(429, retry_after=7), ErrorMidStream(after=2), Answer("Later.")]
    async with socket(gateway.service.url) as connection:
        [refused] = await turn(connection, message="When does water boil?", model=CLOUD)
        assert (refused["error"]["code"], refused["id"], refused["retry_after"]) == ("upstream_rate_limited", None, 7)
        first, *_, broken = await turn(connection, message="When does water boil?", model=CLOUD)
        assert (broken["error"]["code"], broken["id"]) == ("upstream_error", first["id"])
        assert text_of(await turn(connection, message="When does water boil?", model=CLOUD)) == "Later."


async def test_a_stated_label_keeps_a_message_local_also_from_the_handshake(gateway: Gateway) -> None:
    async with socket(gateway.service.url, "/websockets/openrouter") as connection:
        first, *_ = await turn(connection, message="Hello", sensitivity="confidential")
    headers = {"x-sluice-sensitivity": "confidential"}
    async with socket(gateway.service.url, "/websockets/openrouter", additional_headers=headers) as connection:
        second, *_ = await turn(connection, message="Hello", sensitivity="public")
    assert (first["model"], second["model"]) == (LOCAL, LOCAL)
    assert gateway.cloud.completions == []


async def test_a_frame_that_cannot_be_understood_is_refused_and_the_socket_goes_on(
    gateway: Gateway, subtests: pytest.Subtests
) -> None:
    frames = {
        "{": None,
        "[]": None,
        '{"message": "a", "message": "b"}': None,
        '{"type": "shout"}': "type",
        '{"message": ""}': "message",
        '{"message": "a", "sensitivty": "public"}': "sensitivty",
        '{"message": "a", "session_id": "s2"}': None,
        '{"message": "a", "model": "no/such-model"}': "model",
        '{"type": "stop", "message": "a"}': "message",
    }
    async with socket(gateway.service.url) as connection:
        for frame, param in frames.items():
            with subtests.test(frame):
                await connection.send(frame)
                error = (await receive(connection))["error"]
                assert (error["type"], error["param"]) == ("invalid_request_error", param)
        assert text_of(await turn(connection, message="When does water boil?")) == TEXT


@pytest.mark.parametrize(("frame", "code"), [(b"{}", 1003), (json.dumps({"message": "x" * 4_200_000}), 1009)])
async def test_binary_and_oversized_frames_close_the_socket(gateway: Gateway, frame: str | bytes, code: int) -> None:
    async with socket(gateway.service.url) as connection:
        await connection.send(frame)
        assert "error" in await receive(connection)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def test_a_handshake_is_refused_with_the_status_of_its_error(gateway: Gateway, subtests: pytest.Subtests) -> None:
    refused: dict[int, dict[str, Any]] = {
        403: {"origin": "https://elsewhere.example"},
        422: {"additional_headers": {"x-sluice-sensitivty": "public"}},
    }
    for status, options in refused.items():
        with subtests.test(str(status)), pytest.raises(InvalidStatus) as raised:
            async with socket(gateway.service.url, **options):
                pass
        response = raised.value.response
        assert response.status_code == status
        assert response.headers["x-request-id"]
        assert response.body is not None
        assert set(json.loads(response.body)["error"]) == {"message", "type", "param", "code"}


# Keys


@pytest.fixture
def key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
async def protected(tmp_path: Path, key: str) -> AsyncIterator[Service]:
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=key) as service:
        yield service


async def test_a_key_in_a_header_or_a_subprotocol_opens_a_socket(protected: Service, key: str) -> None:
    by_header = {"additional_headers": {"authorization": f"Bearer {key}"}}
    by_protocol = {"subprotocols": [Subprotocol("sluice"), Subprotocol(f"sluice-key.{key}")]}
    for options, chosen in ((by_header, None), (by_protocol, "sluice")):
        async with socket(protected.url, **options) as connection:
            assert connection.subprotocol == chosen
            assert "done" in (await turn(connection, message="Hello"))[-1]


async def test_a_wrong_key_is_refused_before_the_socket_opens(protected: Service) -> None:
    for options in (
        {"additional_headers": {"authorization": "Bearer wrong"}},
        {"subprotocols": [Subprotocol("sluice"), Subprotocol("sluice-key.wrong")]},
    ):
        with pytest.raises(InvalidStatus) as raised:
            async with socket(protected.url, **options):
                pass
        assert raised.value.response.status_code == 401


async def test_a_key_in_the_first_frame_opens_the_conversation(protected: Service, key: str) -> None:
    async with socket(protected.url) as connection:
        await send(connection, type="auth", key=key)
        assert await receive(connection) == {"authenticated": True}
        assert "done" in (await turn(connection, message="Hello"))[-1]


async def test_anything_but_a_good_key_in_the_first_frame_closes_the_socket(
    protected: Service, key: str, subtests: pytest.Subtests
) -> None:
    frames = {
        '{"message": "Hello"}': "invalid_api_key",
        '{"type": "stop"}': "invalid_api_key",
        '{"type": "auth", "key": "wrong"}': "invalid_api_key",
        "{": "malformed_body",
    }
    for frame, error in frames.items():
        with subtests.test(frame):
            async with socket(protected.url, f"/websockets/chat/s1?key={key}") as connection:
                await connection.send(frame)
                assert (await receive(connection))["error"]["code"] == error
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401


async def test_a_key_that_was_good_is_followed_by_a_wrong_one_and_the_socket_closes(
    protected: Service, key: str
) -> None:
    async with socket(protected.url, additional_headers={"authorization": f"Bearer {key}"}) as connection:
        await send(connection, type="auth", key="wrong")
        assert (await receive(connection))["error"]["code"] == "invalid_api_key"


# Limits


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def serve_sockets(
    services: Services, *, limits: SocketLimits | None = None, messages: TokenBuckets | None = None
) -> AsyncIterator[str]:
    """The gateway's services behind sockets with limits of the test's own."""
    app = FastAPI()
    app.state.services = services
    app.state.edge_limit = EdgeLimit(per_minute=0)
    app.state.message_limit = messages or TokenBuckets(per_minute=0, burst=0, monotonic=Hands())
    app.include_router(create_router(limits=limits or SocketLimits()))
    async with serving(app) as url:
        yield url


@pytest.fixture
def services(gateway: Gateway) -> Services:
    services: Services = gateway.service.app.state.services
    return services


async def test_messages_are_limited_by_a_bucket_that_fills_again(services: Services) -> None:
    clock = Hands()
    buckets = TokenBuckets(per_minute=60, burst=2, monotonic=clock)
    async with serve_sockets(services, messages=buckets) as url, socket(url) as connection:
        for _ in range(2):
            assert "done" in (await turn(connection, message="Hello"))[-1]
        [refused] = await turn(connection, message="Hello")
        assert (refused["error"]["code"], refused["retry_after"]) == ("rate_limit_exceeded", 1.0)
        clock.now += refused["retry_after"]
        assert "done" in (await turn(connection, message="Hello"))[-1]


async def test_a_stop_is_obeyed_also_when_the_bucket_is_empty(gateway: Gateway, services: Services) -> None:
    gateway.cloud.script = StallMidStream(after=2)
    buckets = TokenBuckets(per_minute=60, burst=1, monotonic=Hands())
    async with serve_sockets(services, messages=buckets) as url, socket(url) as connection:
        await send(connection, message="When does water boil?")
        await receive(connection)
        await send(connection, type="stop")
        assert (await rest_of_turn(connection))[-1] == {"stopped": True}


async def test_a_silent_socket_is_closed_but_not_while_an_answer_is_on_its_way(
    gateway: Gateway, services: Services
) -> None:
    gate = asyncio.Event()
    gateway.cloud.script = StallMidStream(after=1, gate=gate)
    async with serve_sockets(services, limits=SocketLimits(idle=0.05)) as url, socket(url) as connection:
        await send(connection, message="When does water boil?")
        began = [await receive(connection) for _ in range(2)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connection.recv()
        gate.set()
        assert text_of(began + await rest_of_turn(connection)) == TEXT
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4408


async def test_who_shows_no_key_in_time_is_sent_away(tmp_path: Path, key: str) -> None:
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=key) as service:
        services = service.app.state.services
        async with serve_sockets(services, limits=SocketLimits(authentication=0.05)) as url, socket(url) as connection:
            assert (await receive(connection))["error"]["code"] == "invalid_api_key"
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_only_so_many_messages_wait_and_one_more_is_refused(gateway: Gateway, services: Services) -> None:
    gate = asyncio.Event()
    gateway.cloud.script = StallMidStream(after=1, gate=gate)
    async with serve_sockets(services, limits=SocketLimits(pending_messages=1)) as url, socket(url) as connection:
        await send(connection, message="One")
        began = [await receive(connection) for _ in range(2)]
        await send(connection, message="Two")
        await send(connection, message="Three")
        assert (await receive(connection))["error"]["code"] == "too_many_pending"
        gate.set()
        assert text_of(began + await rest_of_turn(connection)) == TEXT
        assert text_of(await rest_of_turn(connection)) == TEXT


class Flood:
    """A pipeline that never stops writing when it is asked for everything, and is the real one otherwise."""

    piece = "x" * 10_000

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.written = 0
        self.closed = asyncio.Event()

    def answer(self, request: ChatRequest, *, caller: Caller) -> AsyncGenerator[Sequence[Event], None]:
        return (
            self._flood()
            if "everything" in request.messages[-1].text
            else self._pipeline.answer(request, caller=caller)
        )

    def instead_of_pipeline(self, services: Services) -> Services:
        return replace(services, gateway=cast(Pipeline, self))

    async def _flood(self) -> AsyncGenerator[Sequence[Event], None]:
        try:
            while True:
                self.written += len(self.piece)
                yield (Delta(content=self.piece),)
        finally:
            self.closed.set()


@pytest.fixture
def flood(services: Services) -> Flood:
    return Flood(services.gateway)


async def test_a_reader_that_stops_reading_holds_up_its_answer_and_is_given_up_in_the_end(
    services: Services, flood: Flood
) -> None:
    """What is written ahead of the reader is what the buffers of two kernels hold, not the answer."""
    limits = SocketLimits(send=0.3)
    async with (
        serve_sockets(flood.instead_of_pipeline(services), limits=limits) as url,
        socket(url, max_queue=1, compression=None) as connection,
    ):
        await send(connection, message="Tell me everything")
        await flood.closed.wait()
        assert flood.written < 32 * 1024 * 1024
        connection.transport.abort()


async def test_two_hundred_sockets_are_answered_beside_one_that_does_not_read(services: Services, flood: Flood) -> None:
    path = "/websockets/openrouter"
    async with (
        serve_sockets(flood.instead_of_pipeline(services)) as url,
        socket(url, path, max_queue=1, compression=None) as slow,
    ):
        await send(slow, message="Tell me everything")
        await receive(slow)

        async def ask(number: int) -> str:
            async with socket(url, path) as connection:
                return text_of(await turn(connection, message=f"Question {number}?"))

        assert await asyncio.gather(*map(ask, range(200))) == [TEXT] * 200
        assert not flood.closed.is_set()
        assert flood.written < 32 * 1024 * 1024
        slow.transport.abort()
        await flood.closed.wait()


def test_a_bucket_that_is_full_again_is_forgotten() -> None:
    clock = Hands()
    buckets = TokenBuckets(per_minute=60, burst=2, monotonic=clock)
    for number in range(100):
        buckets.take(f"address {number}")
    clock.now += 10
    buckets.take("another")
    assert set(buckets._buckets) == {"another"}
