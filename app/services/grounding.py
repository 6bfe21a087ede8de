"""Whether an answer rests on the passages it was given: each citation is looked up in them, none is trusted.

It is a check of words, made here without a model. A quotation must stand in the passage as it is. Any other sentence
must share enough telling words with what it cites, and all of its numbers. So it finds citations of the wrong
passage, invented numbers and most invented names; it does not see a missing "not", nor what follows from a passage
without being said in it, and an answer in another language than its passage counts as unsupported.

Calibrated on XQuAD with `benchmarks.grounding`, a question and its answer taken as a claim: on their own paragraph 94 %
of the English claims are supported (93 % of the Chinese ones), on the paragraph before it 2 % (3 %), on any other none,
and with the answer to some other question 33 % (48 %).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.models import Citation, Claim, Grounding, GroundingOutcome, Passage, Quotation
from app.services.claims import MARKER, Statement, figures, sentences, statements, whole
from app.services.prompting import NO_ANSWER
from app.services.verbatim import Folded, fold
from app.utils.scripts import latin_share
from app.utils.terms import stems

# The share of a sentence's telling words that its sources must hold; of pieces of words, which other scripts are looked
# up by, fewer recur.
WORDS_SHARE: Final = 0.5
PIECES_SHARE: Final = 0.3
NAMES_SHARE: Final = 2 / 3
# The share that one source of several must hold itself to have contributed.
CONTRIBUTION: Final = 0.2
LATIN_ENOUGH: Final = 0.5

# Longer answers are checked as far as this.
MOST_STATEMENTS: Final = 400

# How models say that passages do not hold the answer, beside the words that they are asked for.
_DENIAL: Final = re.compile(
    r"\b(?:documents?|passages?|sources?|context|excerpts?|materials?|texts?|files?|information provided)\b[^.\n]{0,60}"
    r"\b(?:do(?:es)?(?: not|n['\u2019]t)|hold no|contain no|provide no|has no|have no|lacks?)\b"
    r"|\b(?:not|n['\u2019]t|no (?:information|mention|answer))\b[^.\n]{0,60}"
    r"\b(?:in|from|by|of) (?:any of )?(?:the|your|these|those) (?:provided |given |available )?"
    r"(?:documents?|passages?|sources?|context|excerpts?|materials?|texts?|files?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Source:
    """A passage as it is read for evidence: whole, and sentence by sentence."""

    number: int
    passage: Passage
    folded: Folded
    stems: frozenset[str]
    figures: frozenset[str]
    sentences: tuple[tuple[int, int, frozenset[str]], ...]

    @classmethod
    def of(cls, passage: Passage, *, number: int) -> _Source:
        known = f"{passage.title}\n{passage.content}"
        return cls(
            number=number,
            passage=passage,
            folded=fold(passage.content),
            stems=frozenset(stems(known)),
            figures=figures(known),
            sentences=tuple(
                (start, end, frozenset(stems(passage.content[start:end]) | figures(passage.content[start:end])))
                for start, end in sentences(passage.content)
            ),
        )

    def quote(self, start: int, end: int) -> Quotation:
        """A stretch of the passage, placed in the text of its document's version."""
        at = self.passage.start + start
        return Quotation(
            citation=self.number,
            text=self.passage.content[start:end],
            start=at,
            end=self.passage.start + end,
            page=self.passage.page_at(at),
        )


def check(text: str, *, passages: Sequence[Passage], searched: bool) -> Grounding:
    """What of the answer rests on the passages. `searched` says whether there were any documents to look in."""
    if not passages:
        outcome = GroundingOutcome.NOT_IN_DOCUMENTS if searched else GroundingOutcome.NO_DOCUMENTS
        return Grounding(outcome=outcome)
    sources = [_Source.of(passage, number=number) for number, passage in enumerate(passages, start=1)]
    denied = _denies(text)
    found = [each for each in statements(text) if not _is_entry(each, sources)] or [whole(text)]
    claims = tuple(_check(each, sources) for each in found[:MOST_STATEMENTS])
    return Grounding(outcome=_outcome(claims, denied=denied), claims=claims)


def _outcome(claims: Sequence[Claim], *, denied: bool) -> GroundingOutcome:
    """Supported only if every claim is; an answer that denies, and cites nothing wrongly, found nothing."""
    counted = [claim for claim in claims if claim.supported or not _denies(claim.text)]
    if counted and all(claim.supported for claim in counted):
        return GroundingOutcome.SUPPORTED
    if denied and not any(claim.supported or claim.citations for claim in counted):
        return GroundingOutcome.NOT_IN_DOCUMENTS
    return GroundingOutcome.UNSUPPORTED


def _denies(text: str) -> bool:
    return NO_ANSWER in text or _DENIAL.search(text) is not None


def cite(passages: Sequence[Passage], *, grounding: Grounding, text: str, quotes_only: bool) -> tuple[Citation, ...]:
    """The passages an answer draws on, in the order of their numbers in the prompt, each with its best evidence.

    A model that numbers its sources, like [1], draws on those; one that numbers none may have drawn on any of them,
    unless it is known to number whatever it quotes.
    """
    if not passages:
        return ()
    numbers = {int(number) for marker in MARKER.finditer(text) for number in re.findall(r"\d+", marker[1])}
    used = [number for number in range(1, len(passages) + 1) if number in numbers]
    if not used and not quotes_only:
        used = list(range(1, len(passages) + 1))
    return tuple(_citation(passages[number - 1], number=number, grounding=grounding) for number in used)


def _citation(passage: Passage, *, number: int, grounding: Grounding) -> Citation:
    quotations = [each for claim in grounding.claims for each in claim.evidence if each.citation == number]
    best = max(quotations, key=lambda each: each.end - each.start, default=None)
    start, end = (passage.start, passage.start + len(passage.content)) if best is None else (best.start, best.end)
    return Citation(
        number=number,
        document_id=passage.document_id,
        collection=passage.collection,
        passage=passage.id,
        version=passage.version,
        title=passage.title,
        content=passage.content,
        score=passage.score,
        quote=None if best is None else best.text,
        page=passage.page_at(start),
        start=start,
        end=end,
        supported=best is not None,
    )


def _check(statement: Statement, sources: Sequence[_Source]) -> Claim:
    cited = [source for source in sources if source.number in statement.numbers]
    absent = len(cited) < len(statement.numbers)
    evidence = _evidence(statement, cited if statement.numbers else sources, together=bool(statement.numbers))
    return Claim(
        text=statement.text,
        start=statement.start,
        end=statement.end,
        citations=statement.numbers,
        supported=bool(evidence) and not absent,
        evidence=evidence,
    )


def _evidence(statement: Statement, sources: Sequence[_Source], *, together: bool) -> tuple[Quotation, ...]:
    """What supports the statement: its quotations, or else a sentence of each source; nothing if they do not."""
    found = [_find(quotation, sources) for quotation in statement.quotations]
    if together:
        contributing = sources if _supports(statement, sources) else ()
    else:
        contributing = [source for source in sources if _supports(statement, (source,))][:1]
    if None in found or not contributing:
        return ()
    told = found or [_best_sentence(statement, source) for source in contributing]
    return tuple(quotation for quotation in told if quotation is not None)


def _find(quotation: str, sources: Iterable[_Source]) -> Quotation | None:
    spans = ((source, source.folded.find(quotation)) for source in sources)
    return next((source.quote(*span) for source, span in spans if span is not None), None)


def _supports(statement: Statement, sources: Sequence[_Source]) -> bool:
    known = _known(sources)
    if not statement.terms or not all(figure in known for figure in statement.figures):
        return False
    enough = WORDS_SHARE if latin_share(statement.text) >= LATIN_ENOUGH else PIECES_SHARE
    return _share(statement.terms, known) >= enough and _share(statement.names, known) >= NAMES_SHARE


def _best_sentence(statement: Statement, source: _Source) -> Quotation | None:
    """The sentence of the source that holds most of the statement; the first of equals."""
    wanted = statement.terms | statement.figures
    best = max(source.sentences, key=lambda each: len(wanted & each[2]), default=None)
    if best is None or _share(wanted, best[2]) < CONTRIBUTION:
        return None
    return source.quote(best[0], best[1])


def _known(sources: Iterable[_Source]) -> frozenset[str]:
    return frozenset().union(*(source.stems | source.figures for source in sources))


def _share(wanted: frozenset[str], known: frozenset[str]) -> float:
    return len(wanted & known) / len(wanted) if wanted else 1.0


def _is_entry(statement: Statement, sources: Sequence[_Source]) -> bool:
    """Whether it is a line of a list of sources: a number and the title that it stands for."""
    titles = {source.number: source.passage.title for source in sources}
    bare = MARKER.sub("", statement.text).strip(" .:-*")
    return len(statement.numbers) == 1 and bare in ("", titles.get(statement.numbers[0]))
