"""Where the messages of a request belong in the tree of a session, also for clients that send all of it each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from app.models import ImagePart, Message
from app.protocols import Outline

PINNED_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`messages` are new behind the message `after`; `None` is the end of the active path."""

    after: str | None
    messages: tuple[Message, ...]


def is_pinned(role: str) -> bool:
    """Whether messages of this role tell a model how to behave: they are never trimmed away."""
    return role in PINNED_ROLES


def digest(message: Message) -> str:
    """The same for messages that say the same; clients trim white space."""
    pictures = [part.url for part in message.parts if isinstance(part, ImagePart)]
    calls = [[call.name, call.arguments] for call in message.tool_calls]
    content = [message.role, message.text.strip(), pictures, calls, message.tool_call_id]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def locate(messages: Sequence[Message], path: Sequence[Outline]) -> Place:
    """The place of messages of which some may be on the path already; those are not stored again.

    What follows the last message that is known is new. Where the path goes on otherwise, it is a branch. If all are
    known, the last is to be answered anew.
    """
    said = [message for message in messages if not is_pinned(message.role)]
    known = [outline for outline in path if not is_pinned(outline.role)]
    start, length = _overlap([digest(message) for message in said], known)
    if not length:
        return Place(after=None, messages=tuple(messages))
    rules = [message for message in messages if is_pinned(message.role)]
    end = start + length
    at_the_end = end == len(known) and length < len(said)
    return Place(after=None if at_the_end else known[end - 1].id, messages=(*rules, *said[length:]))


def _overlap(said: Sequence[str], known: Sequence[Outline]) -> tuple[int, int]:
    """Where on the path the messages begin, and how many of them it holds; the longest match, of two the later.

    A client may have forgotten the beginning. Then only an answer among what matches shows that it is a match: users
    say the same thing twice.
    """
    best = (0, 0)
    for start in _starts(said, known):
        length = 0
        while length < min(len(said), len(known) - start) and said[length] == known[start + length].digest:
            length += 1
        holds_answer = any(outline.role == "assistant" for outline in known[start : start + length])
        if (start == 0 or holds_answer) and length >= best[1]:
            best = (start, length)
    return best


def _starts(said: Sequence[str], known: Sequence[Outline]) -> Iterator[int]:
    return (at for at, outline in enumerate(known) if said and outline.digest == said[0])
