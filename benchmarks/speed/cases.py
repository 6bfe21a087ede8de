"""What is measured: each case is one kind of request and the gateways that can answer it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

ALL = ("sluice", "litellm", "portkey")
OURS = ("sluice",)
CACHING = ("sluice", "litellm")

QUESTION = "UNIQUE: at what temperature does water boil at sea level, and how does that change on a high mountain?"
SENTENCE = "The survey team walked the northern ridge and noted the height of each marker before the rain set in. "
DOCUMENTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`body` is the request without its model; `gateways` are those that can do it at all.

    `chunks` are the pieces of the upstream's answer, as many as it has tokens, whether it is asked for a stream or not.
    """

    name: str
    describes: str
    body: dict[str, Any]
    path: str = "/v1/chat/completions"
    gateways: tuple[str, ...] = ALL
    connections: int = 16
    chunks: int = 10
    redis: bool = False
    documents: int = 0
    workers: int = 1

    def request(self, *, model: str) -> str:
        return json.dumps({"model": model, **self.body} if self.path.startswith("/v1/") else self.body)


def _asks(text: str = QUESTION, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def _of_size(characters: int) -> dict[str, Any]:
    text = SENTENCE * (characters // len(SENTENCE) + 1)
    return _asks(f"UNIQUE {text[:characters]}")


def _with_tools(count: int) -> dict[str, Any]:
    def tool(number: int) -> dict[str, Any]:
        properties = {
            name: {"type": "string", "description": f"The {name} to look for, as the catalogue writes it."}
            for name in ("place", "species", "season", "unit")
        }
        schema = {"type": "object", "properties": properties, "required": ["place"], "additionalProperties": False}
        about = "Looks up what was counted at a place."
        return {
            "type": "function",
            "function": {"name": f"look_up_{number}", "description": about, "parameters": schema},
        }

    return _asks(tools=[tool(number) for number in range(count)])


def _with_history(turns: int) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": f"{n}. {SENTENCE * 2}"} for n in range(turns)]
    return {"messages": [*messages, {"role": "user", "content": QUESTION}]}


FIXED = QUESTION.removeprefix("UNIQUE: ")

CASES = {
    case.name: case
    for case in (
        Case(name="miss", describes="a short question, not answered before", body=_asks()),
        Case(
            name="miss-100", describes="the same with an answer of 100 tokens, in one piece", body=_asks(), chunks=100
        ),
        Case(name="latency", describes="the same, one at a time", body=_asks(), connections=1),
        Case(
            name="hit",
            describes="the same question again, from the cache in the process",
            body=_asks(FIXED),
            gateways=OURS,
        ),
        Case(
            name="redis-hit",
            describes="the same question again, from Redis",
            body=_asks(FIXED),
            gateways=CACHING,
            redis=True,
        ),
        Case(name="stream-100", describes="a stream of 100 pieces", body=_asks(stream=True), chunks=100),
        Case(name="stream-1000", describes="a stream of 1,000 pieces", body=_asks(stream=True), chunks=1_000),
        Case(name="prompt-1k", describes="a prompt of 1,000 characters", body=_of_size(1_000)),
        Case(name="prompt-10k", describes="a prompt of 10,000 characters", body=_of_size(10_000)),
        Case(name="prompt-100k", describes="a prompt of 100,000 characters", body=_of_size(100_000), connections=4),
        Case(name="tools", describes="20 tools with their schemas", body=_with_tools(20)),
        Case(name="history", describes="the 51st turn of a conversation", body=_with_history(50)),
        Case(
            name="retrieval",
            describes=f"a question answered with passages of {DOCUMENTS:,} documents",
            body={"message": QUESTION, "documents": True},
            path="/chat",
            gateways=OURS,
            connections=4,
            documents=DOCUMENTS,
        ),
        Case(
            name="search",
            describes=f"a search of {DOCUMENTS:,} documents",
            body={"query": QUESTION, "limit": 5},
            path="/search",
            gateways=OURS,
            connections=4,
            documents=DOCUMENTS,
        ),
        Case(
            name="embeddings",
            describes="one sentence to a vector, by the embedded model",
            body={"input": QUESTION},
            path="/v1/embeddings",
            gateways=OURS,
            connections=4,
        ),
        Case(name="workers-2", describes="a short question, two workers", body=_asks(), gateways=OURS, workers=2),
        Case(name="workers-4", describes="a short question, four workers", body=_asks(), gateways=OURS, workers=4),
    )
}
