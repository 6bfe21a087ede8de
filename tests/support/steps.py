"""What an upstream does, step by step: the values that behaviours are made of and that the server plays."""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.models import JSONValue


class Role(enum.Flag):
    """What a frame means to its protocol, so that a fault can be put in the right place."""

    START = enum.auto()
    CONTENT = enum.auto()
    FINISH = enum.auto()
    USAGE = enum.auto()
    DONE = enum.auto()


ENDING = Role.FINISH | Role.USAGE | Role.DONE


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers. With `length` the body is sent as it is, without it chunked."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of the body that is written at once."""

    data: bytes
    role: Role = Role.CONTENT


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing happens until the gate opens or the client leaves."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Pause:
    """Rounds of the event loop go by, and with them whatever others do of which news was on its way; or seconds."""

    rounds: int = 8
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection ends with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """The connection is closed in order, but without the end that the response's framing asks for."""


Step = Head | Frame | Wait | Pause | Reset | Hangup
Steps = tuple[Step, ...]


def json_reply(value: JSONValue, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Steps:
    """A JSON response in two writes, so that a fault can fall between them."""
    body = json.dumps(value, ensure_ascii=False).encode()
    half = len(body) // 2
    return (
        Head(status=status, headers={"content-type": "application/json", **(headers or {})}, length=len(body)),
        Frame(body[:half], Role.CONTENT),
        Frame(body[half:], ENDING),
    )


def stream_reply(frames: Sequence[Frame], *, content_type: str) -> Steps:
    return (Head(headers={"content-type": content_type, "cache-control": "no-cache"}), *frames)


def plain_reply(body: bytes, *, content_type: str, status: int = 200) -> Steps:
    return (Head(status=status, headers={"content-type": content_type}, length=len(body)), Frame(body, ENDING))


def body_of(steps: Steps) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Frame))


def after_content(steps: Steps, *, count: int) -> int:
    """The position right after `count` content frames and whatever follows them, before the next frame of the answer.

    An answer with fewer content frames is never let through to its end: the position is then before its first
    ending frame.
    """
    seen = 0
    for position, step in enumerate(steps):
        if not isinstance(step, Frame):
            continue
        if Role.CONTENT in step.role:
            seen += 1
        if seen > count or step.role & ENDING:
            return position
    return len(steps)
