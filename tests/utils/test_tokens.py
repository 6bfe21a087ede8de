"""Counts of tokens beside those of a real tokenizer."""

from __future__ import annotations

import pytest

from app.models import ImagePart, JSONValue, Message, Prompt, TextPart, ToolCall, Tooling
from app.services.prompting import IMAGE_TOKENS, count_prompt_tokens
from app.utils.tokens import FEATURES, WEIGHTS, Family, count_tokens, family_of, features
from tests.support.process import REPOSITORY
from tests.support.tokenizer import real_tokens

CHINESE = "水在标准大气压下于一百摄氏度沸腾，在高山上沸点更低，因为那里的气压较低。"
RUSSIAN = "Вода кипит при ста градусах, а в горах раньше, потому что давление там ниже."


@pytest.mark.parametrize("pattern", ["docs/*.md", "app/services/*.py", "*.toml", "examples/*.*"])
def test_files_of_a_kind_are_counted_within_a_tenth_and_all_together_within_a_twentieth(pattern: str) -> None:
    texts = [path.read_text() for path in sorted(REPOSITORY.glob(pattern))]
    counted, real = sum(map(count_tokens, texts)), sum(map(real_tokens, texts))
    assert counted == pytest.approx(real, rel=0.1)


def test_sentences_of_a_soak_are_counted_within_a_twentieth_in_sum() -> None:
    texts = (REPOSITORY / "docs" / "promise.md").read_text().split("\n\n")
    assert sum(map(count_tokens, texts)) == pytest.approx(sum(map(real_tokens, texts)), rel=0.07)


@pytest.mark.parametrize("text", [CHINESE, RUSSIAN])
def test_other_scripts_are_counted_by_their_signs(text: str) -> None:
    assert count_tokens(text) == pytest.approx(real_tokens(text), rel=0.35)
    assert count_tokens(text, family=Family.O200K) < count_tokens(text)


def test_there_is_a_weight_for_each_feature_of_each_family() -> None:
    assert {family: len(weights) for family, weights in WEIGHTS.items()} == dict.fromkeys(Family, len(FEATURES))
    assert len(features("any text")) == len(FEATURES)


def test_nothing_has_no_tokens_and_odd_text_is_counted() -> None:
    assert count_tokens("") == 0
    assert count_tokens("\ud800 half a pair \x00") > 0


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-mini", Family.O200K),
        ("openai/gpt-5-nano", Family.O200K),
        ("o3", Family.O200K),
        ("gpt-4-turbo", Family.CL100K),
        ("claude-sonnet-4-5", Family.CLAUDE),
        ("anthropic/claude-3-haiku", Family.CLAUDE),
        ("llama3:latest", Family.CL100K),
    ],
)
def test_a_family_is_told_by_the_name_of_the_model(model: str, family: Family) -> None:
    assert family_of(model) is family


def test_a_prompt_is_counted_with_its_tools_its_calls_its_images_and_the_frames_of_its_messages() -> None:
    message = Message.of("user", "Hello there")
    plain = count_prompt_tokens(Prompt(messages=(message,)))[Family.CL100K]
    assert plain == real_tokens("Hello there") + 7
    called = Message(role="assistant", tool_calls=(ToolCall("1", "weather", '{"city": "Oslo"}'),))
    seen = Message(role="user", parts=(TextPart("Hello there"), ImagePart("https://example.com/a.png")))
    tool: JSONValue = {"type": "function", "function": {"name": "weather"}}
    for more in (
        Prompt(messages=(message, called)),
        Prompt(messages=(message,), tooling=Tooling(tools=(tool,))),
        Prompt(messages=(seen,)),
    ):
        assert count_prompt_tokens(more)[Family.CL100K] > plain + 5
    assert count_prompt_tokens(Prompt(messages=(seen,)))[Family.CL100K] == plain + IMAGE_TOKENS
