"""A gateway with scripted models around it, and every place where a canary must not turn up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.no_leak.drafts import Draft
from tests.no_leak.surfaces import Surface
from tests.support.http import RecordedRequest
from tests.support.redis import RedisServer
from tests.support.upstream import ScriptedUpstream

Read = Callable[[], bytes]

SEEN_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: its status, its model, and the part of it that tells of an error, if it does."""

    status: int
    model: str
    error: bytes


@dataclass(slots=True, kw_only=True)
class Stage:
    """`local` is the Ollama server; of its models those in `remote` run elsewhere, so what they get counts as sent.

    `can` says what the suite may do to this deployment beside sending requests. `logs` and `spans` read what was told.
    """

    client: aiohttp.ClientSession
    cloud: Mapping[str, ScriptedUpstream]
    local: ScriptedUpstream
    remote: frozenset[str] = frozenset()
    embedder: str | None = None
    can: frozenset[str] = frozenset()
    logs: Read = bytes
    spans: Read = bytes
    redis: RedisServer | None = None
    database: Path | None = None
    audit: Path | None = None
    errors: bytearray = field(default_factory=bytearray)

    async def send(self, draft: Draft, *, surface: Surface) -> Reply:
        """One request as the surface has it."""
        if surface.socket:
            return await self._converse(draft, surface=surface)
        async with self.client.post(surface.path, json=draft.body, headers=draft.headers) as response:
            body = await response.read()
            error = body if response.status >= 400 or b'"error": {' in body or b'"error":{' in body else b""
            self.errors += error if response.status >= 400 else _error_events(error)
            return Reply(status=response.status, model=response.headers.get("x-sluice-model", ""), error=error)

    async def _converse(self, draft: Draft, *, surface: Surface) -> Reply:
        path = surface.path.format(session=draft.body.pop("session_id", draft.words.name))
        async with self.client.ws_connect(path, headers=draft.headers) as socket:
            await socket.send_json(draft.body)
            model, error = "", b""
            async for frame in socket:
                event = orjson.loads(frame.data)
                model = event.get("model") or model
                error = orjson.dumps(event) if "error" in event else error
                if event.get("done") or "error" in event:
                    break
        self.errors += error
        return Reply(status=500 if error else 200, model=model, error=error)

    async def store(self, draft: Draft) -> None:
        """Hand in the draft's document and wait until it is indexed."""
        document, upload = draft.document, draft.upload
        if document is None or upload is None:
            return
        body = {"documents": [document], "collection": draft.words.name, **upload.defaults}
        form = _form(document, fields={"collection": draft.words.name, **upload.defaults}) if upload.form else None
        given: dict[str, Any] = {"json": body} if form is None else {"data": form}
        await self._prepare("/documents?wait=true", headers=upload.headers, **given)
        if upload.lowered_after:
            again = {**document, "content": f"{document['content']} It rained.", "sensitivity": "public"}
            await self._prepare("/documents?wait=true", json={**body, "documents": [again]})

    async def begin(self, draft: Draft) -> None:
        """Send the turn before the request, if there is one."""
        if draft.earlier is not None:
            await self._prepare("/chat", json=draft.earlier)

    async def _prepare(self, path: str, **given: Any) -> None:
        async with self.client.post(path, **given) as response:
            body = await response.read()
            if response.status != 200:
                raise RuntimeError(f"{path} answered {response.status} while a cell was prepared: {body[:500]!r}")

    async def until_local_models_are_seen(self) -> None:
        """Wait until the gateway, which looks after its models now and then, has found the local ones again."""
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while not await self._sees_local_models():  # noqa: ASYNC110  # the gateway asks them in its own time
                await asyncio.sleep(0.2)

    async def _sees_local_models(self) -> bool:
        async with self.client.get("/models") as response:
            listed = (await response.json())["models"]
        return any(model["available"] and model["id"].startswith("ollama/") for model in listed)

    # Where canaries must not be

    def is_remote(self, request: RecordedRequest) -> bool:
        """Whether the request asks for a model of the local server that runs elsewhere."""
        return request.method == "POST" and orjson.loads(request.body or b"{}").get("model") in self.remote

    def forget(self) -> None:
        """Drop what the models were sent so far, and the errors."""
        for upstream in (*self.cloud.values(), self.local):
            upstream.forget()
        self.errors.clear()

    def sent(self) -> dict[str, bytes]:
        """Every byte that went to a cloud model."""
        places = {name: upstream.received for name, upstream in self.cloud.items()}
        places["remote models of Ollama"] = b"\n".join(
            _bytes_of(request) for request in self.local.requests if self.is_remote(request)
        )
        return places

    async def traces(self) -> dict[str, bytes]:
        """What the gateway says of its requests: log, spans, metrics and audit record, the errors it answered with."""
        async with self.client.get("/metrics") as response:
            metrics = await response.read()
        records = sorted(self.audit.rglob("*")) if self.audit else []
        audit = b"\n".join(record.read_bytes() for record in records if record.is_file())
        return {
            "logs": self.logs(),
            "spans": self.spans(),
            "metrics": metrics,
            "errors": bytes(self.errors),
            "the audit record": audit,
        }


def lock_database(path: Path) -> sqlite3.Connection:
    """Keep every other writer out until the connection is closed."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def gather(work: list[Awaitable[None]], *, at_once: int = 8) -> None:
    """Do all the work, some of it at a time; raises what the first to fail raises."""
    slots = asyncio.Semaphore(at_once)

    async def do(item: Awaitable[None]) -> None:
        async with slots:
            await item

    await asyncio.gather(*(do(item) for item in work))


def _form(document: Mapping[str, Any], *, fields: Mapping[str, str]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    text = f"{document['title']}\n\n{document['content']}"
    form.add_field("files", text.encode(), filename="repairs.txt", content_type="text/plain")
    return form


def _error_events(stream: bytes) -> bytes:
    """Of a stream the events that tell of an error: the others are the answer itself."""
    return b"\n".join(line for line in stream.splitlines() if line.startswith(b'data: {"error"'))


def _bytes_of(request: RecordedRequest) -> bytes:
    return f"{request.path}?{request.query} {dict(request.headers)} ".encode() + request.body
