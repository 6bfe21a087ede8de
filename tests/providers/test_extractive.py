from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.errors import UpstreamRejectedError
from app.models import Delta, JSONValue, Label, Message, Passage, Sampling, Stop, Tooling
from app.providers.extractive import EXTRACTIVE, NO_ANSWER, PREAMBLE, Extractive, answer, find_quotes
from tests.providers.calls import collect, dispatch_local_builtin, stops_of, text_of, usages_of

BOILING = "Water is a liquid. It boils at 100 degrees Celsius at sea level. Its colour is faint."
CRICKET = "Cricket is played with a bat. A match lasts five days."


def passage(content: str, *, title: str = "Notes", score: float = 0.5) -> Passage:
    return Passage(
        id=f"v:{title}",
        document_id=title,
        collection="default",
        version="v",
        title=title,
        content=content,
        score=score,
        label=Label.PUBLIC,
    )


def quoted(question: str, *contents: str) -> list[tuple[int, str]]:
    quotes = find_quotes(question, passages=[passage(content) for content in contents])
    return [(quote.number, quote.text) for quote in quotes]


def test_the_sentence_that_answers_is_quoted_to_the_letter_under_the_number_of_its_passage() -> None:
    assert quoted("At how many degrees does water boil?", CRICKET, BOILING) == [
        (2, "It boils at 100 degrees Celsius at sea level.")
    ]


def test_an_answer_says_first_that_it_quotes_and_last_from_where() -> None:
    passages = [passage(BOILING), passage(CRICKET, title="Sports")]
    text = answer("How long does a cricket match last?", passages=passages)
    assert text == f"{PREAMBLE}\n\n“A match lasts five days.” [2]\n\nSources:\n[2] Sports"


@pytest.mark.parametrize(
    ("question", "passages"),
    [
        ("What is the capital of Norway?", [passage(BOILING), passage(CRICKET)]),
        ("At how many degrees does water boil?", []),
        ("", [passage(BOILING)]),
        ("?!", [passage(BOILING)]),
        ("At how many degrees does water boil?", [passage("")]),
    ],
)
def test_without_a_relevant_passage_it_says_plainly_that_there_is_no_answer(
    question: str, passages: Sequence[Passage]
) -> None:
    assert answer(question, passages=passages) == NO_ANSWER


@pytest.mark.parametrize(
    ("question", "content", "sentence"),
    [
        ("水在多少度沸腾？", "水是一种液体。水在100摄氏度时沸腾。它没有颜色。", "水在100摄氏度时沸腾。"),
        ("Wo kocht Wasser bei 90 Grad?", "Wasser ist nass. Auf 3000 Metern kocht Wasser bei 90 Grad.", None),
        ("Где кипит вода?", "Вода мокрая. Вода кипит в чайнике! Чайник горячий.", "Вода кипит в чайнике!"),
    ],
)
def test_other_languages_and_scripts_are_quoted_too(question: str, content: str, sentence: str | None) -> None:
    quotes = find_quotes(question, passages=[passage(content)])
    assert (sentence or "Auf 3000 Metern kocht Wasser bei 90 Grad.") in [quote.text for quote in quotes]


def test_a_sentence_found_twice_is_quoted_once() -> None:
    assert quoted("At how many degrees does water boil?", BOILING, BOILING) == [
        (1, "It boils at 100 degrees Celsius at sea level.")
    ]


def test_of_two_passages_that_say_the_same_the_better_found_one_comes_first() -> None:
    passages = [passage("Tea boils at 99 degrees.", score=0.2), passage("Milk boils at 99 degrees.", score=0.9)]
    best = max(find_quotes("What boils at 99 degrees?", passages=passages), key=lambda quote: quote.score)
    assert best.number == 2


async def test_the_pieces_join_to_the_answer_and_the_usage_is_marked_as_estimated() -> None:
    passages = [passage(BOILING)]
    dispatch = dispatch_local_builtin("At how many degrees does water boil?", passages=passages)
    pieces = await collect(Extractive(), dispatch)
    assert text_of(pieces) == answer("At how many degrees does water boil?", passages=passages)
    assert sum(isinstance(piece, Delta) for piece in pieces) > 3
    assert stops_of(pieces) == [Stop(reason="stop")]
    (usage,) = usages_of(pieces)
    assert usage.estimated
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 20
    assert pieces == await collect(Extractive(), dispatch)


async def test_the_last_question_counts() -> None:
    dispatch = dispatch_local_builtin(
        "How long does a cricket match last?",
        before=[Message.of("user", "At how many degrees does water boil?"), Message.of("assistant", "At 100.")],
        passages=[passage(BOILING), passage(CRICKET)],
    )
    assert "boils" not in text_of(await collect(Extractive(), dispatch))


async def test_a_limit_of_tokens_cuts_and_says_so_in_every_choice() -> None:
    dispatch = dispatch_local_builtin(
        "At how many degrees does water boil?", passages=[passage(BOILING)], sampling=Sampling(max_tokens=9, n=2)
    )
    pieces = await collect(Extractive(), dispatch)
    assert PREAMBLE.startswith(text_of(pieces, index=1))
    assert text_of(pieces, index=0) == text_of(pieces, index=1) != ""
    assert stops_of(pieces) == [Stop(reason="length"), Stop(reason="length", index=1)]
    assert usages_of(pieces)[0].completion_tokens <= 18


TOOL: JSONValue = {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize("tooling", [Tooling(tools=(TOOL,)), Tooling(response_format={"type": "json_object"})])
async def test_tools_and_json_are_refused(tooling: Tooling) -> None:
    with pytest.raises(UpstreamRejectedError):
        await collect(Extractive(), dispatch_local_builtin("Hello", tooling=tooling))


async def test_it_is_always_there_and_local() -> None:
    status = await Extractive().probe()
    assert (status.reachable, status.models) == (True, (EXTRACTIVE,))
    assert (EXTRACTIVE.id, EXTRACTIVE.clearance) == ("builtin/extractive", Label.CONFIDENTIAL)
