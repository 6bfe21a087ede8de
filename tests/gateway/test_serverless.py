"""A process that is frozen between answers: what it leaves for later, and what Lambda's events are answered with."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.config import Settings
from app.errors import ConfigurationError
from app.record_wiring import open_record
from app.records import UsageQuery
from app.settling import Settling
from tests.support.process import REPOSITORY
from tests.support.service import isolated_settings, running

if TYPE_CHECKING:
    from app.serverless import Container

EVERYTHING = UsageQuery(first=date(2000, 1, 1), last=date(2100, 1, 1), by=())
# Slow to import, or not of the default installation: what the first answer of a container does without.
SLOW = ("aiobotocore", "botocore", "chromadb", "litellm", "mangum", "onnxruntime", "redis", "tokenizers")
OPEN = f"""
import asyncio, sys
from app.config import Settings
from app.main import create_app
async def main():
    app = create_app(Settings(serverless=True, vector_store="memory"))
    async with app.router.lifespan_context(app):
        print([name for name in {SLOW!r} if name in sys.modules])
asyncio.run(main())
"""


async def test_what_is_left_to_do_is_done_before_the_last_word() -> None:
    """And the client has all that it reads before that."""
    order: list[str] = []

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part, more in ((b"one", True), (b"two", False)):
            await send({"type": "http.response.body", "body": part, "more_body": more})

    async def settle() -> None:
        order.append("settled")

    async def send(message: Message) -> None:
        order.append(f"{message.get('body', b'head').decode() or 'end'}{'...' if message.get('more_body') else ''}")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await Settling(answer, settle=settle)({"type": "http"}, receive, send)
    assert order == ["head", "one...", "two...", "settled", "end"]


async def test_usage_and_documents_are_there_when_the_answer_ends(tmp_path: Path) -> None:
    """Though nothing runs beside the requests: with or without `wait`."""
    async with running(tmp_path, vector_store="memory", serverless=True) as service:
        for wait in ("", "?wait=true"):
            upload = {"documents": [{"id": f"a{wait}", "content": f"The rabbit runs over the hill {wait}."}]}
            async with service.client.post(f"/documents{wait}", json=upload) as response:
                assert response.ok
        async with service.client.get("/documents") as response:
            listed = (await response.json())["documents"]
        assert [document["status"] for document in listed] == ["indexed", "indexed"]
        async with service.client.post("/chat", json={"message": "Hi", "model": "builtin/extractive"}) as response:
            assert response.status == 200
        url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'sluice.db'}"
        async with AsyncExitStack() as stack:
            record = await open_record(url, stack=stack, clock=lambda: datetime.now(UTC), new_id=lambda: "")
            rows = await record.usage.find(EVERYTHING, limit=9)
    assert [row.count.requests for row in rows] == [1]


def test_a_server_of_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CHROMA_URL"):
        isolated_settings(tmp_path, serverless=True)


def test_the_first_answer_waits_for_no_import_that_it_does_not_need(tmp_path: Path) -> None:
    command = (sys.executable, "-c", OPEN)
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# Lambda's events


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return isolated_settings(
        tmp_path, vector_store="memory", serverless=True, auth_required=True, admin_key=secrets.token_hex(16)
    )


@pytest.fixture
def container(settings: Settings) -> Iterator[Container]:
    pytest.importorskip("mangum", reason="`make aws` installs what AWS Lambda needs")
    from app.serverless import Container  # noqa: PLC0415  # what it imports is not in every environment

    opened = Container(settings)
    yield opened
    opened.close()


def event(settings: Settings, path: str, body: Any) -> dict[str, Any]:
    """A request as a function URL hands it over."""
    assert settings.admin_key is not None
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "content-type": "application/json",
            "authorization": f"Bearer {settings.admin_key.get_secret_value()}",
            "host": "function.lambda-url.eu-central-1.on.aws",
        },
        "requestContext": {"http": {"method": "POST", "path": path, "sourceIp": "192.0.2.1"}, "stage": "$default"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


@pytest.mark.slow
def test_events_are_answered_whole_by_one_application(settings: Settings, container: Container) -> None:
    """A JSON answer, a stream as one body, an error in the one envelope; a later call finds what the first left."""
    chat = {"message": "Hello", "model": "builtin/extractive", "session_id": "s1"}
    first = container.answer(event(settings, "/chat", chat), None)
    assert (first["statusCode"], json.loads(first["body"])["session_id"]) == (200, "s1")
    stream = container.answer(event(settings, "/chat/stream", chat), None)
    assert stream["headers"]["content-type"].startswith("text/event-stream")
    assert stream["body"].rstrip().endswith("data: [DONE]")
    refused = container.answer(event(settings, "/chat", {"message": ""}), None)
    assert (refused["statusCode"], "error" in json.loads(refused["body"])) == (422, True)
    again = container.answer(event(settings, "/chat", {**chat, "message": "What did I say?"}), None)
    assert again["statusCode"] == 200
