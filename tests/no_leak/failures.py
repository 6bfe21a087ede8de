"""What goes wrong around the gateway while the cells of a batch run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.services.prompting import END, GROUNDING
from tests.no_leak.stage import Stage, lock_database
from tests.support.answer import Answer, Behaviour
from tests.support.behaviours import (
    CutMidStream,
    ErrorMidStream,
    HtmlWith200,
    MalformedChunk,
    NoResponse,
    Redirect,
    RemoteHost,
    ResetConnection,
    StallMidStream,
    Status,
)
from tests.support.http import RecordedRequest
from tests.support.upstream import ScriptedUpstream

# Words of fewer letters are the suite's own; those of the gateway's own instructions are in every request.
SHORTEST_TELLING = 8
MOST_TELLING = 60
OWN_WORDS = frozenset(f"{GROUNDING} {END}".split())

Trouble = Callable[[Stage], AbstractAsyncContextManager[None]]
Fault = Callable[[Answer], Behaviour]
Play = Callable[[RecordedRequest], Behaviour | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`needs`: what the deployment must let the suite do.

    `remembered`: the gateway thinks less of its models afterwards, so twins name the cloud model that they must reach.
    """

    trouble: Trouble
    needs: str | None = None
    remembered: bool = False


def echo(request: RecordedRequest) -> Answer:
    """The telling words of the request, so that answers hold canaries and whatever keeps an answer keeps one."""
    return Answer(f"You said: {' '.join(_telling(request))}")


def echoing(upstream: ScriptedUpstream, *, fault: Fault | None = None) -> Play:
    """A script by which completions repeat what was said, after the fault has had its way with them."""

    def script(request: RecordedRequest) -> Behaviour | None:
        if not upstream.dialect.generates(request):
            return None
        answer = echo(request)
        return answer if fault is None else fault(answer)

    return script


def _telling(request: RecordedRequest) -> list[str]:
    body: dict[str, Any] = request.json
    said = " ".join(str(message.get("content") or "") for message in body.get("messages", ()))
    return [word for word in said.split() if len(word) >= SHORTEST_TELLING and word not in OWN_WORDS][-MOST_TELLING:]


@asynccontextmanager
async def _none(_stage: Stage) -> AsyncGenerator[None, None]:
    yield


def _local(fault: Fault) -> Trouble:
    """Befalls the models that run on the server, not those that it passes on."""

    @asynccontextmanager
    async def trouble(stage: Stage) -> AsyncGenerator[None, None]:
        ordinary, failing = echoing(stage.local), echoing(stage.local, fault=fault)

        def script(request: RecordedRequest) -> Behaviour | None:
            return (ordinary if stage.is_remote(request) else failing)(request)

        stage.local.script = script
        yield
        stage.local.script = ordinary

    return trouble


def _cloud(fault: Fault) -> Trouble:
    @asynccontextmanager
    async def trouble(stage: Stage) -> AsyncGenerator[None, None]:
        ordinary = [(upstream, upstream.script) for upstream in stage.cloud.values()]
        for upstream, _ in ordinary:
            upstream.script = echoing(upstream, fault=fault)
        yield
        for upstream, script in ordinary:
            upstream.script = script

    return trouble


@asynccontextmanager
async def _local_down(stage: Stage) -> AsyncGenerator[None, None]:
    await stage.local.stop()
    yield
    await stage.local.start()
    await stage.until_local_models_are_seen()


@asynccontextmanager
async def _local_redirects(stage: Stage) -> AsyncGenerator[None, None]:
    """To the address of a cloud model, by a redirect that keeps method and body."""
    target = next(iter(stage.cloud.values()))
    async with _local(lambda _answer: Redirect(f"{target.origin}/v1/chat/completions"))(stage):
        yield


@asynccontextmanager
async def _embedder_fails(stage: Stage) -> AsyncGenerator[None, None]:
    upstream = stage.cloud[stage.embedder or ""]
    ordinary = upstream.script

    def script(request: RecordedRequest) -> Behaviour | None:
        return Status(503, message=request.body.decode()) if request.path.endswith("/embeddings") else echo(request)

    upstream.script = script
    yield
    upstream.script = ordinary


@asynccontextmanager
async def _redis_down(stage: Stage) -> AsyncGenerator[None, None]:
    if stage.redis is None:
        raise LookupError("this deployment has no Redis")
    await stage.redis.kill()
    yield
    await stage.redis.start()


@asynccontextmanager
async def _redis_paused(stage: Stage) -> AsyncGenerator[None, None]:
    if stage.redis is None:
        raise LookupError("this deployment has no Redis")
    stage.redis.pause()
    yield
    stage.redis.resume()


@asynccontextmanager
async def _database_locked(stage: Stage) -> AsyncGenerator[None, None]:
    if stage.database is None:
        raise LookupError("this deployment's database is out of reach")
    lock = await asyncio.to_thread(lock_database, stage.database)
    yield
    lock.close()


FAILURES: Mapping[str, Failure] = {
    "none": Failure(trouble=_none),
    "local down": Failure(trouble=_local_down, needs="local server"),
    "local reset": Failure(trouble=_local(lambda _answer: ResetConnection())),
    "local 503": Failure(trouble=_local(lambda answer: Status(503, message=answer.text))),
    "local silent": Failure(trouble=_local(lambda _answer: NoResponse())),
    "local stalled": Failure(trouble=_local(lambda answer: StallMidStream(of=answer))),
    "local cut": Failure(trouble=_local(lambda answer: CutMidStream(of=answer))),
    "local malformed": Failure(trouble=_local(lambda answer: MalformedChunk(of=answer))),
    "local HTML": Failure(trouble=_local(lambda answer: HtmlWith200(answer.text))),
    "local error in mid-stream": Failure(trouble=_local(lambda answer: ErrorMidStream(message=answer.text, of=answer))),
    "local redirect": Failure(trouble=_local_redirects),
    "Redis down": Failure(trouble=_redis_down, needs="Redis"),
    "Redis paused": Failure(trouble=_redis_paused, needs="Redis"),
    "database locked": Failure(trouble=_database_locked, needs="database"),
    "embedder down": Failure(trouble=_embedder_fails, needs="embedder"),
    "cloud 503": Failure(trouble=_cloud(lambda answer: Status(503, message=answer.text)), remembered=True),
    "cloud 400": Failure(trouble=_cloud(lambda answer: Status(400, message=answer.text)), remembered=True),
    "cloud reset": Failure(trouble=_cloud(lambda _answer: ResetConnection()), remembered=True),
    "cloud cut": Failure(trouble=_cloud(lambda answer: CutMidStream(of=answer)), remembered=True),
    # The gateway takes the models for remote ones from then on.
    "local answers from elsewhere": Failure(trouble=_local(RemoteHost), remembered=True),
}
