"""Numbered questions with right answers, model servers that fail at random, and what each of them has counted."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.models import Usage
from tests.support.answer import USAGE, Answer, Behaviour
from tests.support.behaviours import (
    CloseWithoutLastChunk,
    ContentFilter,
    ContextTooLong,
    CutMidStream,
    EmptyChoices,
    ErrorMidStream,
    HtmlWith200,
    MalformedChunk,
    NoDone,
    NoFinish,
    NoResponse,
    Paced,
    ResetConnection,
    StallMidStream,
    Status,
)
from tests.support.http import RecordedRequest
from tests.support.steps import Frame, Role
from tests.support.tokenizer import real_tokens

LEAVING = 29
FAULTY = 0.3
REFUSALS = (Status, ResetConnection, HtmlWith200, ContextTooLong, ContentFilter)
SENTENCES = (
    "The harbour was dredged twice in the last century, and each time the cost was higher than the council expected.",
    "A function that returns early is easier to read, because its remaining lines need not remember the special cases.",
    "In 2019 about 14.7 million passengers used the line; the figure for 2021 was less than half of that.",
    "Photosynthesis turns carbon dioxide and water into sugar, and most of what we eat was once light.",
    "If the contract is terminated before June, the deposit is returned within thirty days, less any damage.",
    "She packed three shirts, a torch, two maps and the letter that nobody else had been allowed to see.",
    "Inflation erodes savings slowly, which is why people notice it first in the price of bread and fuel.",
)


def leaves(number: int) -> bool:
    return number % LEAVING == 0


def right_text(number: int, *, model: str) -> str:
    """Prose of one to six sentences, so that there is something to count."""
    said = (SENTENCES[(number + each) % len(SENTENCES)] for each in range(1 + number % 6))
    return f"Number {number} says {model.partition('/')[2]}. {' '.join(said)}"


def right_usage(number: int, *, model: str) -> Usage:
    return Usage(
        prompt_tokens=prompt_tokens(question(number)), completion_tokens=real_tokens(right_text(number, model=model))
    )


def question(number: int) -> str:
    return f"Question {number}: {SENTENCES[number % len(SENTENCES)]} What follows from that, and for whom?"


def prompt_tokens(text: str) -> int:
    """What OpenAI counts for one message, its frame included."""
    return real_tokens(text) + 7


@dataclass(slots=True)
class Account:
    """What one model server has counted of a call: the words it has written, and its report if it made one."""

    number: int
    model: str
    report: Usage
    refuses: bool = False
    opened: bool = False
    written: int = 0
    reported: bool = False
    left: bool = False

    @property
    def tokens(self) -> int:
        """All that was read and written until the connection was closed, whether the gateway got to see it or not.

        A call that was refused takes nothing; one that was left before its answer opened took its prompt.
        """
        if self.reported:
            return self.report.total_tokens
        if self.refuses or not (self.opened or self.left):
            return 0
        parts = Answer(right_text(self.number, model=self.model)).parts
        return prompt_tokens(question(self.number)) + real_tokens("".join(parts[: self.written]))


class Ledger:
    """The accounts of a model server, and its script: right answers to numbered questions, and faults among them."""

    def __init__(self, rng: random.Random, *, provider: str) -> None:
        self._rng = rng
        self._provider = provider
        self._accounts: dict[int, Account] = {}

    @property
    def accounts(self) -> Sequence[Account]:
        return list(self._accounts.values())

    def script(self, request: RecordedRequest) -> Behaviour | None:
        if not request.path.endswith("/chat/completions"):
            return None
        number = int(re.findall(r"\d+", request.json["messages"][-1]["content"])[0])
        model = f"{self._provider}/{request.json['model']}"
        answer = Answer(right_text(number, model=model), usage=right_usage(number, model=model))
        behaviour: Behaviour = answer
        if leaves(number):
            behaviour = StallMidStream(after=number % 4, of=answer)
        elif self._rng.random() < FAULTY:
            behaviour = fault(self._rng, answer)
        # An answer without choices is not an answer to the question, and reports what is its own.
        report = USAGE if isinstance(behaviour, EmptyChoices) else right_usage(number, model=model)
        self._accounts[request.number] = Account(
            number=number, model=model, report=report, refuses=isinstance(behaviour, REFUSALS)
        )
        return Paced(behaviour)

    def wrote(self, request: RecordedRequest, frame: Frame) -> None:
        if (account := self._accounts.get(request.number)) is None:
            return
        account.opened = account.opened or frame.role is Role.START
        account.reported = account.reported or frame.role is Role.USAGE
        if b'"delta":{"content":"' in frame.data and frame.role is Role.CONTENT:
            account.written += 1

    def left(self, request: RecordedRequest) -> None:
        if request.number in self._accounts:
            self._accounts[request.number].left = True


def fault(rng: random.Random, answer: Answer) -> Behaviour:
    after = rng.randrange(4)
    faults: Sequence[Behaviour] = (
        Status(429, retry_after=0.01),
        Status(429, retry_after=30),
        Status(500),
        Status(503),
        ResetConnection(),
        NoResponse(),
        CutMidStream(after=after, of=answer),
        StallMidStream(after=after, of=answer),
        MalformedChunk(after=after, of=answer),
        NoDone(answer),
        NoFinish(answer),
        ErrorMidStream(after=after, of=answer),
        CloseWithoutLastChunk(after=after, of=answer),
        HtmlWith200(),
        EmptyChoices(),
        ContextTooLong(),
        ContentFilter(),
    )
    return rng.choice(faults)
