"""What of an answer rests on the passages: verbatim quotations, words, numbers and names; and what does not."""

from __future__ import annotations

import pytest

from app.models import Citation, Grounding, Label, Passage
from app.services.grounding import check, cite
from app.services.prompting import NO_ANSWER

TEXT = (
    "The Halden plant was opened in 1984 by Ingrid Moe. It employs 1,200 people in three halls. "
    "Its turbines were replaced in 2011, which cost 48 million kroner."
)
OTHER = "The cafeteria serves fish on Fridays. “Nobody has ever complained,” says the cook."


def passage(content: str, *, title: str = "Report", start: int = 0, page: int | None = None) -> Passage:
    return Passage(
        id="v:0",
        document_id=title.lower(),
        collection="default",
        version="v",
        title=title,
        content=content,
        score=0.8,
        label=Label.PUBLIC,
        start=start,
        pages=((start, page),),
    )


PASSAGES = (passage(TEXT, start=100, page=7), passage(OTHER, title="Canteen"))


def grounding(answer: str) -> Grounding:
    return check(answer, passages=PASSAGES, searched=True)


def citations(answer: str) -> tuple[Citation, ...]:
    return cite(PASSAGES, grounding=grounding(answer), text=answer, quotes_only=False)


@pytest.mark.parametrize(
    "answer",
    [
        "The plant was opened in 1984 [1].",
        "The plant was opened in 1984. [1]",
        "**Opened:** Ingrid Moe opened the Halden plant in 1984 [1].",
        "- The plant employs 1200 people [1].\n- The turbines were replaced in 2011 [1].",
        "The report says “Its turbines were replaced in 2011” [1].",
        'The report says "its turbines were  replaced in 2011, which cost..." [1].',
        "The cook says that “nobody has ever complained” [2].",
        "The plant opened in 1984 and its cafeteria serves fish on Fridays [1][2].",
        "The plant opened in 1984 and its cafeteria serves fish on Fridays [1, 2].",
        "The plant was opened in 1984【1】.",
        "Fish is served on Fridays.",
        "1984",
        "You asked about the plant. It employs 1,200 people [1]. Do you want to know more?",
    ],
)
def test_what_the_passages_say_is_supported(answer: str) -> None:
    assert grounding(answer).outcome == "supported"


@pytest.mark.parametrize(
    "answer",
    [
        "The plant was opened in 1985 [1].",
        "The plant employs 1,300 people [1].",
        "The Halden plant was opened in 1984 by Astrid Berg [1].",
        "The cafeteria serves fish on Fridays [1].",
        "The plant was opened in 1984 [3].",
        "The plant was opened in 1984 [1][3].",
        "The report says “its turbines were sold in 2011” [1].",
        "Its emissions rose sharply after the merger with a competitor [1].",
        "The plant was opened in 1984 [1]. Its emissions rose sharply after the merger.",
        "Its emissions rose sharply after the merger with a competitor.",
        "The plant was opened in 1984 [0].",
    ],
)
def test_what_they_do_not_say_is_not(answer: str) -> None:
    found = grounding(answer)
    assert found.outcome == "unsupported"
    assert not all(claim.supported for claim in found.claims)


@pytest.mark.parametrize(
    "answer",
    [
        NO_ANSWER,
        f"{NO_ANSWER} In general, plants of this kind close after forty years.",
        "The provided documents do not mention who owns the plant.",
        "I could not find this in the passages.",
        "There is no information about the owner in the documents.",
        "The passages [1][2] don't say who owns it.",
    ],
)
def test_that_they_hold_no_answer_is_an_outcome_of_its_own(answer: str) -> None:
    assert grounding(answer).outcome == "not_in_documents"


def test_without_passages_the_outcome_says_whether_there_was_anything_to_look_in() -> None:
    assert check("Paris.", passages=(), searched=True).outcome == "not_in_documents"
    assert check("Paris.", passages=(), searched=False).outcome == "no_documents"


def test_words_that_only_sound_like_a_denial_are_a_claim_like_any_other() -> None:
    passages = (passage("These materials do not conduct electricity at room temperature."),)
    assert (
        check("The materials do not conduct electricity [1].", passages=passages, searched=True).outcome == "supported"
    )


def test_each_sentence_is_judged_by_itself_and_says_where_it_stands() -> None:
    answer = "The plant was opened in 1984 [1]. It employs 9,999 people [1]."
    first, second = grounding(answer).claims
    assert (first.supported, second.supported) == (True, False)
    assert answer[second.start : second.end] == second.text == "It employs 9,999 people [1]."
    assert second.citations == (1,)


def test_a_citation_carries_the_quotation_and_its_place_in_the_version() -> None:
    [citation] = citations("The turbines were replaced in 2011 [1].")
    assert citation.quote == "Its turbines were replaced in 2011, which cost 48 million kroner."
    assert TEXT[citation.start - 100 : citation.end - 100] == citation.quote
    assert (citation.number, citation.page, citation.version, citation.supported) == (1, 7, "v", True)


def test_a_quotation_is_found_whatever_its_marks_blanks_case_and_composition() -> None:
    content = "Der Che\u00adf: \u201eWir  haben 2\u00a0000 \ufb01nnische Kunden \u2014 mehr denn je\u201c."
    answer = '"wir haben 2 000 finnische kunden - MEHR denn je" [1]'
    [claim] = check(answer, passages=(passage(content),), searched=True).claims
    assert claim.supported
    assert content[claim.evidence[0].start : claim.evidence[0].end].startswith("Wir  haben 2\u00a0000")


def test_a_citation_that_nothing_bears_out_is_marked() -> None:
    [citation] = citations("The cafeteria serves fish on Fridays [1].")
    assert (citation.document_id, citation.quote, citation.supported) == ("report", None, False)
    assert (citation.start, citation.end) == (100, 100 + len(TEXT))


def test_a_list_of_sources_is_no_claim() -> None:
    answer = "The plant was opened in 1984 [1].\n\nSources:\n[1] Report"
    assert [claim.text for claim in grounding(answer).claims] == ["The plant was opened in 1984 [1]."]


def test_numbers_are_the_same_in_every_script() -> None:
    passages = (passage("بلغ عدد الموظفين ١٢٠٠ موظف في المصنع عام ١٩٨٤."),)
    assert check("بلغ عدد الموظفين 1200 موظف في المصنع [1].", passages=passages, searched=True).outcome == "supported"
    assert check("بلغ عدد الموظفين 1300 موظف في المصنع [1].", passages=passages, searched=True).outcome == "unsupported"


def test_chinese_sentences_are_told_apart() -> None:
    passages = (passage("该工厂于1984年开业。现有员工1200人。"),)
    answer = "该工厂于1984年开业[1]。现有员工1300人[1]。"
    assert [claim.supported for claim in check(answer, passages=passages, searched=True).claims] == [True, False]
