"""The built-in model: it answers by quoting the passages that were retrieved and writes nothing of its own."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from app.errors import UpstreamRejectedError
from app.models import Delta, Dispatch, FinishReason, Label, Locality, Model, Passage, Piece, Price, Prompt, Stop, Usage
from app.protocols import ProviderStatus
from app.utils.tokens import token_spans

EXTRACTIVE = Model(
    provider="builtin",
    name="extractive",
    locality=Locality.LOCAL,
    clearance=Label.CONFIDENTIAL,
    tools=False,
    price=Price(prompt=0.0, completion=0.0),
    title="Built-in extractive model",
    description="Quotes the passages that answer a question. Needs no language model, writes nothing of its own.",
)

PREAMBLE = "No language model answers here, so these are passages of the documents, quoted as they stand:"
NO_ANSWER = (
    "The documents hold no answer to this. No language model answers here either: to get one, set OPENAI_API_KEY, "
    "ANTHROPIC_API_KEY or OPENROUTER_API_KEY, or start Ollama where OLLAMA_BASE_URL points."
)

# A sentence ends after a full stop and a space, after its CJK counterpart, or with its line.
_ENDS, _CJK_ENDS = ".!?\u2026", "\u3002\uff01\uff1f"
_CLOSERS, _CJK_CLOSERS = "\"')\\]\u2019\u201d", "\u2019\u201d\u300d\u300f\uff09"
_SENTENCE = re.compile(rf"\S.*?(?:[{_ENDS}][{_CLOSERS}]*(?=\s|$)|[{_CJK_ENDS}]+[{_CJK_CLOSERS}]*|$)", re.MULTILINE)
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_RUN = re.compile(rf"[{_CJK}]+|[^\W{_CJK}]+")
_FIRST_CJK = re.compile(f"[{_CJK}]")
# English endings; what other languages lose by it they lose in question and sentence alike.
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e)$")
_WORD_GROUP = re.compile(r"(?:\S{1,16}\s*){1,4}|\s+")

MOST_QUOTES = 3
# A quote must hold this share of what the question asks by weight; tuned on one half of XQuAD, checked on the other.
LEAST_COVERAGE = 0.25
# A further quote must come this near to the best one.
NEARNESS = 0.75
WEIGHT_OF_PASSAGE = 0.3
WEIGHT_OF_SCORE = 0.2
# Two neighbouring characters often straddle two words; those that no passage holds tell little against a passage.
WEIGHT_OF_ABSENT_PAIR = 0.4

# In fewer sentences than these every word is common, and the words that a question shares with them would tell nothing.
FEWEST_SENTENCES = 30


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of the passage of this number, counted from 1. `position` orders the sentences of a passage."""

    number: int
    position: int
    text: str
    coverage: float
    score: float


class Extractive:
    """As `ChatProvider`: a deterministic function of the last question and the passages."""

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        """As `ChatProvider.complete`; raises `UpstreamRejectedError` for tools and for any format but text."""
        prompt = dispatch.payload
        if prompt.tooling.tools or prompt.tooling.response_format not in (None, {"type": "text"}):
            raise UpstreamRejectedError
        text = answer(_question(prompt), passages=prompt.passages)
        pieces: list[Piece] = []
        written = 0
        for index in range(prompt.sampling.n or 1):
            groups, reason = _cut(text, limit=prompt.sampling.max_tokens)
            pieces += [Delta(content=group, index=index) for group in groups]
            pieces.append(Stop(reason=reason, index=index))
            written += sum(len(token_spans(group)) for group in groups)
        asked = sum(len(token_spans(message.text)) for message in prompt.messages)
        yield [*pieces, Usage(prompt_tokens=asked, completion_tokens=written, estimated=True)]

    async def probe(self) -> ProviderStatus:
        return ProviderStatus(reachable=True, models=(EXTRACTIVE,))

    async def close(self) -> None:
        """Nothing is open."""


def answer(question: str, *, passages: Sequence[Passage]) -> str:
    """The quotes that answer the question with their sources, or the plain word that there are none.

    Sources are numbered by their place among the passages, as the citations are.
    """
    quotes = find_quotes(question, passages=passages)
    if not quotes:
        return NO_ANSWER
    quoted = "\n\n".join(f"“{quote.text}” [{quote.number}]" for quote in quotes)
    numbers = sorted({quote.number for quote in quotes})
    sources = "\n".join(f"[{number}] {passages[number - 1].title}" for number in numbers)
    return f"{PREAMBLE}\n\n{quoted}\n\nSources:\n{sources}"


def find_quotes(question: str, *, passages: Sequence[Passage]) -> list[Quote]:
    """The sentences that hold most of what the question asks, best passage first; none if none holds enough."""
    asked = _terms(question)
    if not asked:
        return []
    sentences = [list(_sentences(passage.content)) for passage in passages]
    weights = _weights(asked, sentences=[_terms(text) for texts in sentences for text in texts])
    quotes = [
        quote
        for number, (passage, texts) in enumerate(zip(passages, sentences, strict=True), start=1)
        for quote in _score(passage, number=number, sentences=texts, weights=weights)
        if quote.coverage >= LEAST_COVERAGE
    ]
    return _choose(quotes)


def _score(passage: Passage, *, number: int, sentences: Sequence[str], weights: dict[str, float]) -> Iterator[Quote]:
    """Score each sentence by the weight of the question's terms it holds, helped by its passage."""
    context = _coverage(_terms(f"{passage.title}\n{passage.content}"), weights=weights)
    for position, text in enumerate(sentences):
        coverage = _coverage(_terms(text), weights=weights)
        score = coverage + WEIGHT_OF_PASSAGE * context + WEIGHT_OF_SCORE * passage.score
        yield Quote(number, position, text, coverage, score)


def _choose(quotes: Sequence[Quote]) -> list[Quote]:
    chosen: dict[str, Quote] = {}
    for quote in sorted(quotes, key=lambda quote: (-quote.score, quote.number, quote.position)):
        best = next(iter(chosen.values()), quote)
        if len(chosen) == MOST_QUOTES or quote.score < NEARNESS * best.score:
            break
        chosen.setdefault(quote.text, quote)
    return sorted(chosen.values(), key=lambda quote: (quote.number, quote.position))


def _weights(asked: set[str], *, sentences: Sequence[set[str]]) -> dict[str, float]:
    """How much each term of the question tells: the inverse document frequency of BM25, over the sentences."""
    frequency = Counter(term for sentence in sentences for term in sentence & asked)
    count = max(len(sentences), FEWEST_SENTENCES)
    weights = {term: math.log(1 + (count - frequency[term] + 0.5) / (frequency[term] + 0.5)) for term in sorted(asked)}
    return {
        term: weight * WEIGHT_OF_ABSENT_PAIR if not frequency[term] and _is_cjk(term) else weight
        for term, weight in weights.items()
    }


def _coverage(terms: set[str], *, weights: dict[str, float]) -> float:
    """The share of the question's weight that the terms hold, 0..1."""
    return sum(weight for term, weight in weights.items() if term in terms) / sum(weights.values())


def _sentences(text: str) -> Iterator[str]:
    for match in _SENTENCE.finditer(text):
        if sentence := match[0].strip():
            yield sentence


def _terms(text: str) -> set[str]:
    """Words without their endings; of scripts without spaces, each two neighbouring characters."""
    return {term for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()) for term in _split(run)}


def _split(run: str) -> Iterator[str]:
    if not _is_cjk(run):
        yield _ENDING.sub("", run)
    elif len(run) == 1:
        yield run
    else:
        yield from (run[start : start + 2] for start in range(len(run) - 1))


def _is_cjk(text: str) -> bool:
    return _FIRST_CJK.match(text) is not None


def _cut(text: str, *, limit: int | None) -> tuple[list[str], FinishReason]:
    """The text in groups of words, as many as the limit of tokens allows."""
    groups = _WORD_GROUP.findall(text)
    if limit is None:
        return groups, "stop"
    sizes = accumulate(len(token_spans(group)) for group in groups)
    fitting = [group for group, size in zip(groups, sizes, strict=True) if size <= limit]
    return fitting, "stop" if len(fitting) == len(groups) else "length"


def _question(prompt: Prompt) -> str:
    return next((message.text for message in reversed(prompt.messages) if message.role == "user"), "")
