"""Where messages belong on a path that may hold some of them already."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.models import ImagePart, Message, Role, TextPart
from app.protocols import Outline
from app.services.placing import Place, digest, locate
from app.services.titles import first_words, read_title

ROLES: dict[str, Role] = {"S": "system", "U": "user", "A": "assistant"}


def conversation(said: str) -> tuple[Message, ...]:
    """`U:one A:two` are a question and an answer."""
    return tuple(Message.of(ROLES[word[0]], word[2:]) for word in said.split())


def path(said: str) -> Sequence[Outline]:
    return [
        Outline(id=str(number), role=message.role, digest=digest(message))
        for number, message in enumerate(conversation(said))
    ]


@pytest.mark.parametrize(
    ("stored", "said", "after", "new"),
    [
        ("", "U:1 A:1 U:2", None, "U:1 A:1 U:2"),
        ("U:1 A:1", "U:1 A:1 U:2", None, "U:2"),
        ("S:x U:1 A:1", "S:x U:1 A:1 U:2", None, "S:x U:2"),
        ("U:1 A:1 U:2 A:2", "U:1 A:1 U:3", "1", "U:3"),
        ("U:1 A:1 U:2 A:2", "U:1 A:edited U:2", "0", "A:edited U:2"),
        ("U:1 A:1 U:2 A:2", "U:1 A:1 U:2", "2", ""),
        ("U:1 A:1 U:2 A:2", "A:1 U:2 A:2 U:3", None, "U:3"),
        ("U:1 A:1 U:hi A:2", "U:hi A:other U:3", None, "U:hi A:other U:3"),
        ("U:1 A:ok U:1 A:ok", "U:1 A:ok U:2", None, "U:2"),
    ],
)
def test_messages_that_are_known_are_not_new_and_a_difference_is_a_branch(
    stored: str, said: str, after: str | None, new: str
) -> None:
    assert locate(conversation(said), path(stored)) == Place(after=after, messages=conversation(new))


def test_a_digest_minds_what_is_said_and_not_the_space_around_it() -> None:
    assert digest(Message.of("user", " one\n")) == digest(Message.of("user", "one"))
    picture = Message(role="user", parts=(TextPart("one"), ImagePart("https://example.com/1.png")))
    others = (Message.of("assistant", "one"), picture, Message.of("user", "two"))
    assert len({digest(message) for message in others}) == len(others)


def test_titles_are_one_short_line() -> None:
    assert first_words((Message.of("system", "x"), Message.of("user", "  Who\n is it? "))) == "Who is it?"
    long = first_words((Message.of("user", "word " * 1_000),))
    assert long is not None
    assert long.endswith("word…")
    assert len(long) <= 61
    assert first_words((Message(role="user", parts=(ImagePart("https://example.com/1.png"),)),)) is None
    assert read_title('\n"**The Water Cycle**".\nAnd more') == "The Water Cycle"
    assert read_title(" \n") is None
