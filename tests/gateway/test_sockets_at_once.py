"""Many sockets on one service: a reader that does not read costs it little, and one that is cut is noticed at once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.gateway.conftest import CLOUD, cloud_settings
from tests.support.answer import Answer, Behaviour
from tests.support.behaviours import StallMidStream
from tests.support.http import RecordedRequest
from tests.support.process import ServiceProcess
from tests.support.upstream import ScriptedUpstream

TEXT = "Water boils at 100 degrees."
EVERYTHING = Answer(pieces=["x" * 10_000] * 6_400)
CANCEL_SECONDS = 0.1
# Far below the 64 MB of the answer that is not read, and what a socket in mid-answer takes on both sides together.
MOST_ADDED_BYTES = 32 * 1024 * 1024
MOST_PER_SOCKET_BYTES = 128 * 1024

NUMBERS = [40, pytest.param(200, marks=pytest.mark.slow)]


@pytest.fixture
def gate() -> asyncio.Event:
    """While it is closed, answers stop after two pieces."""
    return asyncio.Event()


@pytest.fixture
async def service(
    tmp_path: Path, openai_upstream: ScriptedUpstream, gate: asyncio.Event
) -> AsyncIterator[ServiceProcess]:
    def answer(request: RecordedRequest) -> Behaviour | None:
        if not openai_upstream.dialect.generates(request):
            return None
        asked = request.json["messages"][-1]["content"]
        return EVERYTHING if "everything" in asked else StallMidStream(after=2, gate=gate)

    openai_upstream.script = answer
    environment = {
        name.upper(): value if isinstance(value, str) else ",".join(value)
        for name, value in cloud_settings(openai_upstream).items()
    }
    async with ServiceProcess(tmp_path, environment=environment | {"VECTOR_STORE": "memory"}) as service:
        yield service


async def open_socket(stack: AsyncExitStack, service: ServiceProcess, session_id: str) -> ClientConnection:
    url = f"ws{service.url.removeprefix('http')}/websockets/chat/{session_id}"
    return await stack.enter_async_context(
        connect(url, proxy=None, max_queue=1, compression=None, ping_interval=None, close_timeout=1)
    )


async def ask(connection: ClientConnection, message: str) -> list[Any]:
    """Send a message; the frames that come before its answer stalls."""
    await connection.send(json.dumps({"message": message, "model": CLOUD}))
    return [json.loads(await connection.recv()) for _ in range(3)]


async def read_on(connection: ClientConnection) -> list[Any]:
    frames: list[Any] = []
    while not frames or "done" not in frames[-1]:
        frames.append(json.loads(await connection.recv()))
    return frames


def text_of(frames: list[Any]) -> str:
    return "".join(frame.get("content", "") for frame in frames)


def resident_bytes(service: ServiceProcess) -> int:
    status = Path(f"/proc/{service.pid}/status").read_text()
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(kilobytes) * 1024


def answers_of(service: ServiceProcess, session_id: str) -> list[tuple[str, bool]]:
    """The stored answers of a session, and whether each is complete."""
    with closing(sqlite3.connect(service.data_dir / "sluice.db")) as database:
        rows = database.execute("SELECT message, complete FROM turns WHERE session = ? ORDER BY number", [session_id])
        turns = [(json.loads(message), bool(complete)) for message, complete in rows]
    return [(message["parts"][0]["text"], complete) for message, complete in turns if message["role"] == "assistant"]


@pytest.mark.parametrize("number", NUMBERS)
async def test_sockets_at_once_are_answered_in_bounded_memory_beside_one_that_does_not_read(
    service: ServiceProcess, gate: asyncio.Event, number: int
) -> None:
    async with AsyncExitStack() as stack:
        warm = await open_socket(stack, service, "warm")
        await ask(warm, "What is loaded at the first question?")
        slow = await open_socket(stack, service, "slow")
        before = resident_bytes(service)
        await ask(slow, "Tell me everything")
        sockets = [await open_socket(stack, service, f"s{place}") for place in range(number)]
        began = await asyncio.gather(*(ask(socket, f"Question {place}?") for place, socket in enumerate(sockets)))
        gate.set()
        ended = await asyncio.gather(*map(read_on, sockets))
        added = resident_bytes(service) - before
        slow.transport.abort()
    assert [text_of(first + last) for first, last in zip(began, ended, strict=True)] == [TEXT] * number
    assert added < MOST_ADDED_BYTES + number * MOST_PER_SOCKET_BYTES


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_socket_that_is_cut_among_many_ends_its_call_at_once_and_keeps_its_turn_so_far(
    service: ServiceProcess, openai_upstream: ScriptedUpstream, gate: asyncio.Event, number: int
) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await open_socket(stack, service, f"s{place}") for place in range(number)]
        began = await asyncio.gather(*(ask(socket, f"Question {place}?") for place, socket in enumerate(sockets)))
        cut, *others = sockets
        cut.transport.abort()
        await openai_upstream.wait_cancelled(within=CANCEL_SECONDS)
        gate.set()
        ended = await asyncio.gather(*map(read_on, others))
    assert [text_of(first + last) for first, last in zip(began[1:], ended, strict=True)] == [TEXT] * (number - 1)
    assert openai_upstream.cancelled == 1
    assert answers_of(service, "s0") == [(text_of(began[0]), False)]
    assert answers_of(service, "s1") == [(TEXT, True)]
