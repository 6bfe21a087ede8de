"""Pictures and scanned pages are read where the system has tesseract, and fail by a code of their own where not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.services.loaders import LoadError
from app.services.loaders.loading import load
from app.services.loaders.recognition import DOCUMENT_SECONDS, Recogniser
from tests.services.loaders.pdf_samples import DRAWING, pdf, text_page

PICTURE = b"\x89PNG\r\n\x1a\n and pixels"
# A stand-in that lists two languages, and prints how many bytes of which kind of picture it was given.
PROGRAM = """#!/bin/sh
if [ "$1" = --list-langs ]; then printf 'List of languages\\nosd\\ndeu\\neng\\n'; exit 0; fi
kind=$(head -c 2)
rest=$(wc -c)
[ "$kind" = XX ] && exit 1
printf 'Read by recognition as %s with %s' "$kind" "$4"
"""


@pytest.fixture
def recogniser(tmp_path: Path) -> Recogniser:
    program = tmp_path / "tesseract"
    program.write_text(PROGRAM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    found = Recogniser.find((str(tmp_path), "/usr/bin"))
    assert found is not None
    return found


def test_the_installed_languages_are_used_english_first(recogniser: Recogniser) -> None:
    assert recogniser.languages == ("eng", "deu")


def test_there_is_none_where_the_program_is_not(tmp_path: Path) -> None:
    assert Recogniser.find((str(tmp_path),)) is None


def test_a_picture_is_read(recogniser: Recogniser) -> None:
    document = load(b"\xff\xd8\xff and pixels", media_type="image/jpeg", filename=None, recogniser=recogniser)
    assert document.text.endswith("with eng+deu")
    assert document.warnings == ("recognised",)


def test_without_recognition_a_picture_says_what_it_needs() -> None:
    with pytest.raises(LoadError) as raised:
        load(PICTURE, media_type="image/png", filename=None)
    assert raised.value.code == "no_text_needs_ocr"


def test_a_picture_that_cannot_be_read_is_empty(recogniser: Recogniser) -> None:
    with pytest.raises(LoadError) as raised:
        load(b"XX", media_type="image/png", filename=None, recogniser=recogniser)
    assert raised.value.code == "empty"


def test_only_pages_without_text_are_read_and_said_to_be(recogniser: Recogniser) -> None:
    data = pdf(text_page("Written."), DRAWING, b"")
    document = load(data, media_type="application/pdf", filename=None, recogniser=recogniser)
    assert [(each.page, each.text) for each in document.sections] == [
        (1, "Written."),
        (2, "Read by recognition as P5 with eng+deu"),
    ]
    assert document.warnings == ("no_text_on_page:3", "recognised_page:2")


def test_nothing_more_is_read_once_the_documents_time_is_over(recogniser: Recogniser) -> None:
    times = iter((0.0, 1.0, DOCUMENT_SECONDS + 1))
    read = recogniser.start(lambda: next(times))
    assert read(PICTURE)
    assert read(PICTURE) == ""


@pytest.mark.skipif(Recogniser.find() is None, reason="tesseract is not installed")
def test_a_page_is_read_by_the_systems_own_tesseract() -> None:
    recogniser = Recogniser.find()
    assert recogniser is not None
    scanned = load(pdf(DRAWING), media_type="application/pdf", filename=None, recogniser=recogniser)
    assert scanned.text
