"""Redaction: what is taken out of a prompt, and what that does to its label."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from app.models import Finding, JSONValue, Label, Message, Prompt, ToolCall, Tooling
from app.services.labels import Labeller, Reading, fields_of
from app.services.policy import PolicyFile
from app.services.redaction import Outgoing, Redactor
from tests.support.canaries import card_number, openai_key
from tests.support.process import REPOSITORY

PLACEHOLDER = re.compile(r"\[([A-Z_]+)#(\d+)#nonce\]")
CHANCE = random.Random(11)
CARD = card_number(CHANCE)
KEY = openai_key(CHANCE)


@dataclass(frozen=True, slots=True)
class NoEchoes:
    """Nothing was ever said."""

    async def find(self, fields: object, **_: object) -> tuple[Finding, ...]:
        return ()


class Redaction:
    """A redactor under a policy, and the reading of a prompt without history."""

    def __init__(self, policy: Path, *, labels: frozenset[Label]) -> None:
        policies = PolicyFile(policy)
        labeller = Labeller(policies=policies, echoes=NoEchoes(), uninspected=Label.INTERNAL)  # type: ignore[arg-type]  # a fake
        self._detectors = policies.current.detectors
        self._redactor = Redactor(labeller=labeller, policies=policies, labels=labels, make_nonce=lambda: "nonce")

    async def __call__(self, prompt: Prompt, *given: Finding) -> Outgoing:
        fields = fields_of(prompt.messages, sampling=prompt.sampling, tooling=prompt.tooling)
        reading = Reading().join(given).join_found(await self._detectors.scan(fields))
        return await self._redactor.prepare(prompt, reading=reading)


@pytest.fixture
def redact() -> Redaction:
    return Redaction(REPOSITORY / "policy.toml", labels=frozenset({Label.CONFIDENTIAL}))


def prompt_of(*texts: str) -> Prompt:
    return Prompt(messages=tuple(Message.of("user", text) for text in texts))


async def test_values_become_typed_placeholders_of_this_request(redact: Redaction) -> None:
    outgoing = await redact(prompt_of(f"Charge {CARD} and use {KEY}."))
    assert outgoing.redacted is not None
    text = outgoing.redacted.prompt.messages[0].text
    assert re.fullmatch(r"Charge \[PAYMENT_CARD#1#nonce\] and use \[PROVIDER_KEY#2#nonce\]\.", text)
    assert outgoing.redacted.values == {"[PAYMENT_CARD#1#nonce]": CARD, "[PROVIDER_KEY#2#nonce]": KEY}
    assert outgoing.redacted.reading.label is Label.PUBLIC
    assert outgoing.reading.label is Label.CONFIDENTIAL


async def test_all_spellings_of_a_value_share_a_placeholder_also_where_no_detector_would_find_them(
    redact: Redaction,
) -> None:
    dotted = "..".join(CARD[start : start + 4] for start in range(0, 16, 4))
    outgoing = await redact(prompt_of(f"Card {CARD}", f"that is {dotted}", f"and {KEY} or {KEY.upper()}"))
    assert outgoing.redacted is not None
    texts = [message.text for message in outgoing.redacted.prompt.messages]
    assert texts[1] == "that is [PAYMENT_CARD#1#nonce]"
    assert len(set(PLACEHOLDER.findall(texts[2]))) == 1


async def test_words_that_only_contain_the_letters_of_a_short_value_stay(redact: Redaction) -> None:
    outgoing = await redact(prompt_of("Whoever tr0ub4dy and str0ub4d, stays.", "password: Tr0ub4d"))
    assert outgoing.redacted is not None
    assert outgoing.redacted.prompt.messages[0].text == "Whoever tr0ub4dy and str0ub4d, stays."


async def test_arguments_and_schemas_stay_valid_json(redact: Redaction) -> None:
    call = ToolCall("c1", "pay", '{"card": "' + CARD + '", "n": 1}')
    tools: tuple[JSONValue, ...] = ({"type": "function", "function": {"name": "pay", "description": f"never {CARD}"}},)
    prompt = Prompt(
        messages=(Message(role="assistant", tool_calls=(call,)),),
        tooling=Tooling(tools=tools, tool_choice="auto", response_format={"type": "json_object"}),
    )
    outgoing = await redact(prompt)
    assert outgoing.redacted is not None
    bare = outgoing.redacted.prompt
    assert bare.messages[0].tool_calls[0].arguments == '{"card": "[PAYMENT_CARD#1#nonce]", "n": 1}'
    assert bare.tooling.tools == (
        {"type": "function", "function": {"name": "pay", "description": "never [PAYMENT_CARD#1#nonce]"}},
    )
    assert (bare.tooling.tool_choice, bare.tooling.response_format) == ("auto", {"type": "json_object"})


@pytest.mark.parametrize(
    "text",
    [
        f"CONFIDENTIAL - do not distribute. Card {CARD}",
        f"Ann Smith was diagnosed with cancer. Card {CARD}",
    ],
)
async def test_what_is_no_value_keeps_the_label(redact: Redaction, text: str) -> None:
    assert (await redact(prompt_of(text))).redacted is None


@pytest.mark.parametrize("pieces", [(30,), (30, 40), (22, 25, 30, 45)])
async def test_no_part_of_a_value_that_was_cut_over_turns_is_left(redact: Redaction, pieces: tuple[int, ...]) -> None:
    edges = (0, *pieces, len(KEY))
    parts = [KEY[start:end] for start, end in pairwise(edges)]
    outgoing = await redact(prompt_of(f"The key is {parts[0]}", *parts[1:-1], f"{parts[-1]} is the rest"))
    assert outgoing.reading.label is Label.CONFIDENTIAL
    if outgoing.redacted is not None:
        text = "\n".join(message.text for message in outgoing.redacted.prompt.messages)
        assert [part for part in parts if part in text] == []


async def test_what_was_given_is_never_lowered(redact: Redaction) -> None:
    stated = Finding(detector="stated", label=Label.CONFIDENTIAL, where="sensitivity")
    assert (await redact(prompt_of(f"Card {CARD}"), stated)).redacted is None
    internal = Finding(detector="session", label=Label.INTERNAL, where="session")
    outgoing = await redact(prompt_of(f"Card {CARD}"), internal)
    assert outgoing.lowest_label is Label.INTERNAL


async def test_a_label_that_the_setting_does_not_name_is_not_redacted() -> None:
    redact = Redaction(REPOSITORY / "policy.toml", labels=frozenset({Label.INTERNAL}))
    assert (await redact(prompt_of(f"Card {CARD}"))).redacted is None


async def test_own_patterns_are_values_too(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    own = '[[detection.patterns]]\nname = "employee"\npattern = \'EMP-\\d{6}\'\nlabel = "confidential"\n'
    policy.write_text(f"[complexity]\nmoderate = 0.4\ncomplex = 0.6\n[detection]\n{own}", "utf-8")
    redact = Redaction(policy, labels=frozenset({Label.CONFIDENTIAL}))
    outgoing = await redact(prompt_of("Who is EMP-123456?"))
    assert outgoing.redacted is not None
    assert outgoing.redacted.prompt.messages[0].text == "Who is [EMPLOYEE#1#nonce]?"
