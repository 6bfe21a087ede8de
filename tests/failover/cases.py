"""The ways in which a model server fails, by the names that docs/failures.md has for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from tests.failover.bench import Protocol
from tests.support.answer import ORDINARY, Answer
from tests.support.behaviours import (
    CloseWithoutLastChunk,
    ContentFilter,
    ContextTooLong,
    CutMidStream,
    EmptyChoices,
    ErrorMidStream,
    HalfJson,
    HtmlWith200,
    MalformedChunk,
    NoDone,
    NoFinish,
    NoResponse,
    Redirect,
    ResetConnection,
    Script,
    SlowFirstToken,
    StallMidStream,
    Status,
    flap,
)

# Seconds. RFC 9110 knows whole ones only, which a test would have to wait for.
SHORT_WAIT = 0.2

ALL = frozenset(Protocol)
WITH_FILTER = frozenset({Protocol.OPENAI, Protocol.LITELLM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`script` is what the first server does; `text` what a complete answer of it says."""

    script: Script
    text: str = ORDINARY.text
    protocols: frozenset[Protocol] = ALL


def cases() -> Mapping[str, Case]:
    """Made anew for each gateway: a gate belongs to the loop it waits in."""
    return {
        "429 with a short Retry-After, then well": Case(script=flap(1, failure=Status(429, retry_after=SHORT_WAIT))),
        "429 with a Retry-After of 30 s": Case(script=Status(429, retry_after=30)),
        "429 for good, with a short Retry-After": Case(script=Status(429, retry_after=SHORT_WAIT)),
        "429 for good, without Retry-After": Case(script=Status(429)),
        "500 once": Case(script=flap(1, failure=Status(500))),
        "500 for good": Case(script=Status(500)),
        "503 for good": Case(script=Status(503)),
        "TCP reset": Case(script=ResetConnection()),
        "No response": Case(script=NoResponse()),
        "Slow first token": Case(script=SlowFirstToken(asyncio.Event())),
        "Cut in mid-stream": Case(script=CutMidStream(after=2)),
        "Stall in mid-stream": Case(script=StallMidStream(after=2)),
        "Malformed chunk": Case(script=MalformedChunk(after=2)),
        "Malformed first chunk": Case(script=MalformedChunk(after=0)),
        "No end mark": Case(script=NoDone()),
        "No finish reason": Case(script=NoFinish()),
        "Context too long": Case(script=ContextTooLong()),
        "Content filter on the prompt": Case(script=ContentFilter(), protocols=WITH_FILTER),
        "Content filter on the answer": Case(
            script=Answer("", finish="content_filter"), text="", protocols=WITH_FILTER
        ),
        "Refusal": Case(script=Answer("I cannot help with that."), text="I cannot help with that."),
        "Cut by its token limit": Case(script=Answer("Water boils", finish="length"), text="Water boils"),
        "Flapping: 503, then well": Case(script=flap(1)),
        "HTML with status 200": Case(script=HtmlWith200()),
        "Half a JSON body": Case(script=HalfJson()),
        "No choices": Case(script=EmptyChoices(), protocols=frozenset({Protocol.OPENAI, Protocol.OLLAMA})),
        "Error object in mid-stream": Case(script=ErrorMidStream(after=2)),
        "Closed without the last chunk": Case(script=CloseWithoutLastChunk(after=2)),
        "No usage reported": Case(script=Answer(usage=None)),
        "Redirect": Case(script=Redirect("http://127.0.0.1:9/elsewhere")),
        "400": Case(script=Status(400)),
        "401": Case(script=Status(401)),
        "404": Case(script=Status(404)),
    }
