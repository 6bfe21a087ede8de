"""A model that does as it is told: it reads from each request what would be a sensible answer, and faults on demand."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.answer import Answer, Behaviour, Dialect
from tests.support.behaviours import ErrorMidStream, NoResponse, StallMidStream, Status, ToolCalls
from tests.support.dialects import OpenAIDialect
from tests.support.http import RecordedRequest
from tests.support.steps import Steps, Wait, json_reply
from tests.support.upstream import ScriptedUpstream

CLOUD = "gpt-4o"
OTHER_CLOUD = "gpt-4o-mini"

# A path of the upstream's own: how many of its answers were left before their end, told once they are `above` a number.
TALLY_PATH = "/cancelled"

RETRY_AFTER_SECONDS = 3

JSONObject = Mapping[str, Any]


class ScriptedModel(ScriptedUpstream):
    """An OpenAI-compatible server that does what the last message of the user says.

    - "fail with 429": that status; "break off": an error in mid-stream; "stall": a stream that stops after two
      pieces; "say nothing": no answer at all.
    - With tools: it calls one, or once for each JSON object that stands in the message. With a result of a tool last,
      it quotes that result.
    - With a response format: an object that fits the schema.
    - With images: how many there are. Otherwise a sentence.
    """

    def __init__(self) -> None:
        super().__init__(OpenAIDialect(models={CLOUD: {}, OTHER_CLOUD: {}}), script=self._respond)
        self._asking: list[tuple[int, asyncio.Event]] = []

    def record_cancel(self, request: RecordedRequest) -> None:
        super().record_cancel(request)
        for above, gate in self._asking:
            if self.cancelled > above:
                gate.set()

    def _respond(self, request: RecordedRequest) -> Behaviour | None:
        if request.path == TALLY_PATH:
            return Tally(self._gate(above=int(request.query.removeprefix("above="))), cancelled=self.cancelled)
        return behave(request.json) if self.dialect.generates(request) else None

    def _gate(self, *, above: int) -> asyncio.Event:
        gate = asyncio.Event()
        if self.cancelled > above:
            gate.set()
        self._asking.append((above, gate))
        return gate


@dataclass(frozen=True, slots=True)
class Tally:
    """How many answers were left when the question came, told when the gate opens."""

    gate: asyncio.Event
    cancelled: int

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return (Wait(self.gate), *json_reply({"cancelled": self.cancelled}))


def behave(body: JSONObject) -> Behaviour:
    """What to do about a request for a completion."""
    prompt = _last_prompt(body["messages"])
    if fault := _fault(prompt):
        return fault
    last = body["messages"][-1]
    if last["role"] == "tool":
        return _after_tool(body, result=_text(last["content"]))
    if calls := _calls(body, prompt=prompt):
        return ToolCalls(calls)
    return _answer(body, prompt=prompt)


def _after_tool(body: JSONObject, *, result: str) -> Behaviour:
    """An answer that quotes the tool's result; where the client waits for a call of its own, that call."""
    if _forced(body):
        return ToolCalls(_calls(body, prompt=result))
    if "response_format" in body:
        return _answer(body, prompt=result)
    return Answer(f"The tool says: {result}")


def _last_prompt(messages: Sequence[JSONObject]) -> str:
    return next((_text(message["content"]) for message in reversed(messages) if message["role"] == "user"), "")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _fault(prompt: str) -> Behaviour | None:
    if failure := re.search(r"fail with (\d{3})", prompt):
        status = int(failure[1])
        return Status(status, retry_after=RETRY_AFTER_SECONDS if status == 429 else None)
    faults: Mapping[str, Behaviour] = {
        "break off": ErrorMidStream(after=2),
        "stall": StallMidStream(after=2),
        "say nothing": NoResponse(),
    }
    return next((fault for word, fault in faults.items() if word in prompt), None)


# Tools


def _forced(body: JSONObject) -> bool:
    return body.get("tool_choice", "auto") not in ("auto", "none")


def _calls(body: JSONObject, *, prompt: str) -> list[tuple[str, str]]:
    """The calls that the prompt asks for: with the JSON objects in it as arguments, or with a sample of the schema."""
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools", ())}
    if not tools or body.get("tool_choice") == "none":
        return []
    function = tools[_chosen(body["tool_choice"], names=tools) if _forced(body) else _named(prompt, names=tools)]
    schema = function.get("parameters") or {"type": "object"}
    stated = re.findall(r"\{[^{}]*\}", prompt)
    arguments = stated or [json.dumps(Sample(prompt).of(schema), ensure_ascii=False)]
    return [(function["name"], text) for text in arguments]


def _chosen(choice: Any, *, names: Mapping[str, Any]) -> str:
    return choice["function"]["name"] if isinstance(choice, Mapping) else next(iter(names))


def _named(prompt: str, *, names: Mapping[str, Any]) -> str:
    """The tool that the prompt names, or the first."""
    return next((name for name in names if name in prompt), next(iter(names)))


# Texts and structures


def _answer(body: JSONObject, *, prompt: str) -> Answer:
    response_format = body.get("response_format") or {"type": "text"}
    match response_format["type"]:
        case "json_schema":
            schema = response_format["json_schema"]["schema"]
            return Answer(json.dumps(Sample(prompt).of(schema), ensure_ascii=False))
        case "json_object":
            # JSON mode has no schema: the prompt says in quotes which keys it wants.
            return Answer(json.dumps({key: f"the {key}" for key in re.findall(r"'(\w+)'", prompt)}))
    if images := _count_images(body["messages"]):
        return Answer(f"I see {images} image{'s' if images > 1 else ''}.")
    return Answer("Water boils at 100 degrees.")


def _count_images(messages: Sequence[JSONObject]) -> int:
    contents = [message["content"] for message in messages if isinstance(message.get("content"), list)]
    return sum(part["type"] == "image_url" for content in contents for part in content)


class Sample:
    """Values that fit a JSON Schema, drawn from a prompt: its numbers and its quoted words, or else fixed ones."""

    def __init__(self, prompt: str) -> None:
        self._numbers = iter(re.findall(r"-?\d+", prompt))
        self._words = iter(re.findall(r"'([^']+)'|\"([^\"]+)\"", prompt))
        self._definitions: JSONObject = {}

    def of(self, schema: JSONObject) -> Any:
        self._definitions = schema.get("$defs", self._definitions)
        if "$ref" in schema:
            return self.of(self._definitions[schema["$ref"].rpartition("/")[2]])
        for union in ("anyOf", "oneOf", "allOf"):
            if union in schema:
                return self.of(schema[union][0])
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        return self._typed(schema)

    def _typed(self, schema: JSONObject) -> Any:
        match schema.get("type", "object"):
            case "object":
                return {name: self.of(property_) for name, property_ in schema.get("properties", {}).items()}
            case "array":
                return [self.of(schema.get("items", {"type": "string"}))]
            case "integer" | "number":
                return int(next(self._numbers, 7))
            case "boolean":
                return True
            case "string":
                return next((single or double for single, double in self._words), "something")
            case _:
                return None
