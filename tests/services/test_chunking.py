import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.records import Chunk
from app.services.chunking import chunk
from app.services.loaders import ParsedDocument, Section

SENTENCES = [f"Sentence number {number} has seven words here." for number in range(40)]


def words(text: str) -> list[tuple[int, int]]:
    """A tokenizer: words, marks, and single characters of scripts without blanks."""
    return [match.span() for match in re.finditer(r"[a-zA-Z0-9]+|[^\sa-zA-Z0-9]", text)]


def document(*texts: str) -> ParsedDocument:
    return ParsedDocument(title=None, media_type="text/plain", sections=tuple(Section(text=text) for text in texts))


def chunks(text: str, *, max_tokens: int = 20, overlap_tokens: int = 0) -> list[Chunk]:
    return list(chunk(document(text), measure=words, max_tokens=max_tokens, overlap_tokens=overlap_tokens))


def texts(text: str, *, max_tokens: int = 20, overlap_tokens: int = 0) -> list[str]:
    return [each.text for each in chunks(text, max_tokens=max_tokens, overlap_tokens=overlap_tokens)]


@given(
    sections=st.lists(
        st.text(alphabet=st.sampled_from("ab. !?\n\t。人ก,|\"'é🥊"), min_size=1, max_size=300), min_size=1, max_size=4
    ),
    max_tokens=st.integers(1, 30),
    overlap_tokens=st.integers(0, 10),
)
def test_chunks_are_spans_that_fit_and_miss_nothing(sections: list[str], max_tokens: int, overlap_tokens: int) -> None:
    """Whatever the text: spans are exact, no chunk is blank or too long, and every character is in one."""
    parsed = document(*sections)
    overlap_tokens = min(overlap_tokens, max_tokens - 1)
    found = list(chunk(parsed, measure=words, max_tokens=max_tokens, overlap_tokens=overlap_tokens))
    covered: set[int] = set()
    for ordinal, each in enumerate(found):
        assert each.ordinal == ordinal
        assert each.text == parsed.text[each.start : each.end]
        assert each.text == each.text.strip() != ""
        assert len(words(each.text)) <= max_tokens
        covered.update(range(each.start, each.end))
    assert all(index in covered or character.isspace() for index, character in enumerate(parsed.text))
    assert [each.start for each in found] == sorted({each.start for each in found})


def test_a_short_document_is_one_chunk() -> None:
    """Nothing is cut that fits."""
    assert texts("One.\n\nTwo.\nThree.") == ["One.\n\nTwo.\nThree."]


def test_sections_are_not_mixed_and_hand_down_page_and_heading() -> None:
    """A chunk has one page and one path of headings, and its span counts in the whole text."""
    parsed = ParsedDocument(
        title=None,
        media_type="application/pdf",
        sections=(Section(text="One.", page=1, heading=("A",)), Section(text="Two.", page=2, heading=("A", "B"))),
    )
    assert list(chunk(parsed, measure=words)) == [
        Chunk(ordinal=0, text="One.", start=0, end=4, page=1, heading=("A",)),
        Chunk(ordinal=1, text="Two.", start=6, end=10, page=2, heading=("A", "B")),
    ]


def test_cuts_fall_between_paragraphs_before_lines_before_sentences() -> None:
    """The strongest border in the second half of what fits is where a chunk ends."""
    paragraphs = "one two three four. five six\nseven eight nine ten\n\neleven twelve thirteen. fourteen fifteen"
    assert texts(paragraphs, max_tokens=15) == [
        "one two three four. five six\nseven eight nine ten",
        "eleven twelve thirteen. fourteen fifteen",
    ]
    lines = "one two three four. five six\nseven eight nine ten. eleven twelve"
    assert texts(lines, max_tokens=10) == ["one two three four. five six", "seven eight nine ten. eleven twelve"]


@pytest.mark.parametrize(
    "sentences",
    [
        ["The first one ends.", "“Does the second?”", "Yes… It does!"],
        ["第一句话在这里结束。", "第二句话也在这里结束了！", "「第三句呢？」", "第四句。"],
        ["هذه هي الجملة الأولى هنا.", "هل هذه هي الجملة الثانية؟", "نعم هي كذلك بالفعل."],
        ["यह पहला वाक्य है।", "यह दूसरा वाक्य है।", "यह तीसरा है॥"],
        ["ทุกคนเกิดมา", "มีอิสระเสมอกัน", "ในเกียรติศักดิ์"],
    ],
)
def test_sentences_of_many_scripts_are_kept_whole(sentences: list[str]) -> None:
    """No sentence is cut when whole sentences make a chunk of half its size or more."""
    separator = "" if sentences[0].startswith("第") else " "
    longest = max(len(words(sentence)) for sentence in sentences)
    joined = "".join(texts(separator.join(sentences), max_tokens=longest))
    found = texts(separator.join(sentences), max_tokens=longest)
    assert joined.replace(" ", "") == "".join(sentences).replace(" ", "")
    assert all(any(each.startswith(sentence) for sentence in sentences) for each in found)


def test_an_abbreviation_in_mid_sentence_does_not_end_it() -> None:
    """A full stop in front of a small letter is not a border."""
    assert texts("We met e.g. yesterday and before. Then we left.", max_tokens=10)[1] == "Then we left."


def test_sentences_without_capitals_are_sentences() -> None:
    """Texts in small letters are cut at their full stops too, also when these stand apart."""
    assert texts("the wing was tested. the flow was slow.", max_tokens=6) == [
        "the wing was tested.",
        "the flow was slow.",
    ]
    assert texts("the lift was low . the drag was not .", max_tokens=6) == ["the lift was low .", "the drag was not ."]


def test_rows_of_a_table_are_kept_whole() -> None:
    """A line is a better border than what looks like a sentence inside it."""
    rows = [f"Name: Dr. No {number} | City: St. Ives" for number in range(6)]
    for text in texts("\n".join(rows), max_tokens=25):
        assert set(text.split("\n")) <= set(rows)


def test_a_long_sentence_is_cut_after_a_clause_or_else_a_word() -> None:
    """Words are cut only when they alone are too long."""
    clauses = "one two three four five, six seven eight nine ten eleven twelve"
    assert texts(clauses, max_tokens=10) == ["one two three four five,", "six seven eight nine ten eleven twelve"]
    assert texts("alpha beta gamma delta", max_tokens=3) == ["alpha beta gamma", "delta"]


def test_parts_have_about_the_same_size() -> None:
    """A section a little longer than a chunk gives two halves, not a chunk and a crumb."""
    sizes = [len(words(text)) for text in texts(" ".join(SENTENCES[:6]), max_tokens=40)]
    assert sizes == [24, 24]


def test_chunks_overlap_by_whole_sentences() -> None:
    """What a chunk repeats of the one before it are its last sentences, no more tokens than asked for."""
    found = chunks(" ".join(SENTENCES), max_tokens=40, overlap_tokens=20)
    for before, after in itertools.pairwise(found):
        repeated = before.text[after.start - before.start :]
        assert repeated in {f"{one} {two}" for one, two in itertools.pairwise(SENTENCES)}
    assert [each.text for each in chunks("a b c d e f g h. i j", max_tokens=9, overlap_tokens=3)] == [
        "a b c d e f g h.",
        "i j",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "人" * 100_000,
        "a" + " " * 1_000_000 + "b",
        "!" * 100_000,
        '."' * 50_000,
        "." + '"' * 100_000,
        "\n   " * 100_000 + "x",
        "word " * 50_000,
    ],
    ids=["letters", "Chinese", "blanks", "marks", "marks and quotes", "quotes", "lines", "words"],
)
def test_work_grows_no_faster_than_the_text(text: str) -> None:
    """Without sentences, lines or blanks each character is measured twice at most, and chunks stay short."""
    measured = 0

    def counting(part: str) -> Sequence[tuple[int, int]]:
        nonlocal measured
        measured += len(part)
        return words(part)

    found = list(chunk(document(text), measure=counting, max_tokens=200))
    assert measured <= 2 * len(text)
    assert max(len(each.text) for each in found) <= 200 * 32


def test_tokens_that_share_a_character_are_counted_each() -> None:
    """Tokenizers of bytes give several tokens for one character; chunks still end between characters."""

    def byte_tokens(text: str) -> list[tuple[int, int]]:
        return [(index, index + 1) for index, character in enumerate(text) for _ in character.encode()]

    parsed = document("🥊" * 10)
    found = [each.text for each in chunk(parsed, measure=byte_tokens, max_tokens=10, overlap_tokens=0)]
    assert "".join(found) == parsed.text
    assert all(len(text.encode()) <= 12 for text in found)
