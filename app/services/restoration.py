"""Restoration: placeholders in an answer become the values they stand for, also across the borders of its pieces."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.models import Delta, Piece, Stop, ToolCallDelta, Usage

# What stands before a placeholder is remembered this far back, to tell whether it is part of a link.
CONTEXT_CHARACTERS = 8_192

# A model that writes Markdown may escape the signs.
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_\\]*#\d+\\{0,2}#[a-z]+\]")
_BEGUN = re.compile(r"\[[A-Za-z0-9_#\\]{0,120}\Z")
_ADDRESS = re.compile(r":[/\\]|//|\\\\|www\.|(?:mailto|tel|sms|data|javascript|blob|file):", re.IGNORECASE)
_TAG = re.compile(r"<[A-Za-z/!]")
_DEFINITION = re.compile(r"[\s>*+-]*\[[^\]]*\]:")


async def restore(
    batches: AsyncGenerator[Sequence[Piece], None], *, values: Mapping[str, str]
) -> AsyncGenerator[Sequence[Piece], None]:
    """The pieces of an answer with values in place of their placeholders; what may be a part of one is held back."""
    restoration = _Restoration(values)
    async with aclosing(batches):
        async for pieces in batches:
            if restored := list(restoration.restore(pieces)):
                yield restored


class _Restoration:
    """The texts of one answer: content and refusal of each choice, and the arguments of each of its tool calls."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._texts: dict[tuple[int, str | int], _Text] = {}

    def restore(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            match piece:
                case Delta():
                    restored = self.feed(piece)
                    if restored is not None:
                        yield restored
                case Stop():
                    yield from self.flush(piece.index)
                    yield piece
                case Usage():
                    yield piece

    def feed(self, delta: Delta) -> Delta | None:
        """The delta with what can be said for sure; `None` if nothing can."""
        restored = replace(
            delta,
            content=self._text(delta.index, "content").feed(delta.content),
            refusal=self._text(delta.index, "refusal").feed(delta.refusal),
            tool_calls=tuple(self._feed_call(delta.index, call) for call in delta.tool_calls),
        )
        says = restored.content or restored.refusal or restored.tool_calls or restored.logprobs
        return restored if says or not (delta.content or delta.refusal) else None

    def flush(self, index: int) -> Iterator[Delta]:
        """What was held back of a choice that is over."""
        for (choice, name), text in self._texts.items():
            rest = text.flush() if choice == index else ""
            if rest and isinstance(name, int):
                yield Delta(index=index, tool_calls=(ToolCallDelta(position=name, arguments=rest),))
            elif rest:
                yield Delta(index=index, content=rest) if name == "content" else Delta(index=index, refusal=rest)

    def _feed_call(self, index: int, call: ToolCallDelta) -> ToolCallDelta:
        return replace(call, arguments=self._text(index, call.position).feed(call.arguments))

    def _text(self, index: int, name: str | int) -> _Text:
        return self._texts.setdefault((index, name), _Text(self._values, is_json=isinstance(name, int)))


@dataclass(slots=True)
class _Text:
    """One text as it arrives. `before` is its end so far with placeholders in it, `held` may begin one more."""

    values: Mapping[str, str]
    is_json: bool
    before: str = ""
    held: str = ""

    def feed(self, text: str) -> str:
        if not text:
            return ""
        text = self.held + text
        begun = _BEGUN.search(text)
        end = begun.start() if begun else len(text)
        self.held = text[end:]
        return self._restore(text[:end])

    def flush(self) -> str:
        rest, self.held = self.held, ""
        return rest

    def _restore(self, text: str) -> str:
        pieces: list[str] = []
        done = 0
        for match in _PLACEHOLDER.finditer(text):
            value = self.values.get(match.group().replace("\\", ""))
            if value is not None:
                self._pass(text[done : match.start()])
                pieces += (text[done : match.start()], match.group() if self._is_in_link() else self._spell(value))
                self._pass(match.group())
                done = match.end()
        self._pass(text[done:])
        return "".join((*pieces, text[done:]))

    def _pass(self, text: str) -> None:
        self.before = (self.before + text)[-CONTEXT_CHARACTERS:]

    def _spell(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=False)[1:-1] if self.is_json else value

    def _is_in_link(self) -> bool:
        """Whether what follows would be part of an address, of the target of a link, or of a tag that may have one."""
        string = self.before.rpartition('"')[2] if self.is_json else self.before
        tag, line = self.before.rpartition(">")[2], self.before.rpartition("\n")[2]
        is_in_address = bool(string) and not string[-1].isspace() and _ADDRESS.search(string.split()[-1])
        return bool(is_in_address or _is_in_target(self.before) or _TAG.search(tag) or _DEFINITION.match(line))


def _is_in_target(before: str) -> bool:
    """Whether a Markdown link's parenthesis is open, brackets inside it counted, up to the end of its paragraph."""
    start = before.rfind("](")
    while start >= 0:
        target = before[start + 1 :]
        if target.count("(") > target.count(")") and "\n\n" not in target:
            return True
        start = before.rfind("](", 0, start)
    return False
