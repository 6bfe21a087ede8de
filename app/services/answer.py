"""An answer while it is being written, and what becomes of it when it is complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeGuard

from app.models import (
    Delta,
    FinishReason,
    Message,
    Model,
    Opening,
    Piece,
    Prompt,
    Stop,
    TextPart,
    ToolCall,
    Usage,
)
from app.services.pricing import reckon
from app.services.prompting import count_prompt_tokens
from app.utils.tokens import count_tokens, family_of


@dataclass(slots=True)
class Draft:
    """Collects the pieces of a completion; the fold that turns a stream into a whole answer."""

    deltas: list[Delta] = field(default_factory=list)
    stops: dict[int, FinishReason] = field(default_factory=dict)
    usage: Usage | None = None
    opened: bool = False

    def add(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            match piece:
                case Delta():
                    self.deltas.append(piece)
                case Stop():
                    self.stops[piece.index] = piece.reason
                case Usage():
                    self.usage = piece
                case Opening():
                    self.opened = True

    @property
    def has_begun(self) -> bool:
        return bool(self.opened or self.deltas or self.stops or self.usage)

    @property
    def finish_reasons(self) -> tuple[FinishReason, ...]:
        """One for each choice, in the order of the choices."""
        return tuple(reason for _, reason in sorted(self.stops.items()))

    @property
    def choices(self) -> tuple[Message, ...]:
        """The choices as assistant messages."""
        deltas: dict[int, list[Delta]] = {0: []}
        for delta in self.deltas:
            deltas.setdefault(delta.index, []).append(delta)
        return tuple(_message(deltas.get(index, ())) for index in range(1 + max(deltas)))

    def settled_usage(self, prompt: Prompt, *, model: str) -> Usage:
        """What the provider reported, or an estimate that says that it is one. A thought is about one token."""
        if self.usage is not None:
            return self.usage
        family = family_of(model)
        refused = "".join(delta.refusal for delta in self.deltas)
        written = sum(
            count_tokens(choice.text + "".join(call.name + call.arguments for call in choice.tool_calls), family=family)
            for choice in self.choices
        )
        thoughts = sum(delta.is_empty for delta in self.deltas)
        return Usage(
            prompt_tokens=count_prompt_tokens(prompt)[family],
            completion_tokens=written + count_tokens(refused, family=family) + thoughts,
            estimated=True,
        )


def join_texts(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """The same answer, with deltas of text that follow each other in one choice as one delta."""
    joined: list[Piece] = []
    for index, alike in groupby(pieces, key=lambda piece: piece.index if is_text(piece) else None):
        if index is None:
            joined += alike
        else:
            text = "".join(piece.content for piece in alike if isinstance(piece, Delta))
            joined.append(Delta(content=text, index=index))
    return joined


def is_text(piece: Piece) -> TypeGuard[Delta]:
    """Whether it is a delta of nothing but text."""
    return isinstance(piece, Delta) and not (piece.tool_calls or piece.refusal) and piece.logprobs is None


def _message(deltas: Sequence[Delta]) -> Message:
    text = "".join([delta.content for delta in deltas])
    return Message(role="assistant", parts=(TextPart(text),) if text else (), tool_calls=join_tool_calls(deltas))


def join_tool_calls(deltas: Sequence[Delta]) -> tuple[ToolCall, ...]:
    """The calls of one choice, whose arguments come in pieces."""
    calls: dict[int, ToolCall] = {}
    for piece in (piece for delta in deltas if delta.tool_calls for piece in delta.tool_calls):
        known = calls.get(piece.position, ToolCall(id="", name="", arguments=""))
        calls[piece.position] = ToolCall(
            id=known.id or piece.id or "",
            name=known.name or piece.name or "",
            arguments=known.arguments + piece.arguments,
        )
    return tuple(call for _, call in sorted(calls.items()))


def cost_of(usage: Usage, *, model: Model | None) -> float | None:
    """US dollars, `None` if the model's price is unknown."""
    if model is None or model.price is None:
        return None
    return reckon(usage, price=model.price)
