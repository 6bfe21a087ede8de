"""Files that are built to take a reader's time, memory or stack, through the front door."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from tests.services.loaders import hostile_samples as hostile
from tests.services.loaders.package_samples import package
from tests.support.service import Service

# What becomes of each: the code of its failure, or a part of the text that it is indexed with.
FILES: Mapping[str, tuple[bytes, str]] = {
    "blocks.html": (hostile.nested(b"<div>", times=200_000, closing=b"</div>"), "text: innermost"),
    "attributes.html": (hostile.giant_tag(100_000), "text: innermost"),
    "comments.html": (hostile.commented(10_000), "empty"),
    "boxes.odt": (hostile.boxes_in_boxes(40), "text: innermost"),
    "sections.odt": (hostile.sections_in_sections(100_000), "corrupt"),
    "controls.docx": (hostile.word_in_controls(100_000), "corrupt"),
    "entities.docx": (hostile.laughs(), "corrupt"),
    "chapters.epub": (hostile.book_of_one_chapter(200_000), "text: The only chapter."),
    "far.xlsx": (hostile.far_cells(500), "text: 1\n2\n3"),
    "styled.xlsx": (hostile.styled_cells(10_000), "empty"),
    "arrays.json": (b"[" * 200_000 + b"]" * 200_000, "too_large"),
    "objects.json": (b'{"a":' * 100_000 + b'"innermost"' + b"}" * 100_000, "too_large"),
    "groups.rtf": (b"{\\rtf1 " + b"{" * 200_000 + b"innermost" + b"}" * 200_001, "text: innermost"),
    "mails.eml": (hostile.mails_in_a_mail(3_000), "too_large"),
    "parts.eml": (hostile.parts_in_a_part(5_000), "too_large"),
    "archives.zip": (hostile.archives_in_an_archive(20), "too_large"),
    "bomb.zip": (package({"a.txt": bytes(100_000_000)}), "too_large"),
    "understated.zip": (hostile.understated_bomb(), "corrupt"),
    "type.zip": (package({"mimetype": bytes(40_000_000), "a.txt": "x"}), "too_large"),
    "line.csv": (b" " * 5_000_000 + b"first,last", "text: first,last"),
}


@pytest.mark.timeout(120)
async def test_no_file_takes_a_reader_down_or_keeps_it_for_long(alone: Service) -> None:
    """Each ends in its text or in the right code, one after the other, and none by the clock."""
    ends = {name: await outcome(alone, content, name=name) for name, (content, _) in FILES.items()}
    expected = {name: end for name, (_, end) in FILES.items()}
    assert {name: end[: len(expected[name])] for name, end in ends.items()} == expected


async def test_looking_at_the_first_bytes_of_a_file_does_not_hold_up_the_service(alone: Service) -> None:
    """What a file is, is found out in the service's own process, before it is acknowledged."""
    form = aiohttp.FormData()
    form.add_field("files", io.BytesIO(hostile.commented(100_000)), filename="comments.html")
    async with asyncio.timeout(20), alone.client.post("/documents", data=form) as response:
        assert response.status == 202


async def outcome(service: Service, content: bytes, *, name: str) -> str:
    """The code of the failure, or `text: ` and the text."""
    form = aiohttp.FormData()
    form.add_field("files", io.BytesIO(content), filename=name)
    form.add_field("ids", f'["{name}"]')
    async with service.client.post("/documents?wait=true", data=form) as response:
        answer: dict[str, Any] = await response.json()
    if "error" in answer:
        return str(answer["error"]["code"])
    (document,) = answer["documents"]
    if document["status"] == "failed":
        return str(document["error"]["code"])
    async with service.client.get(f"/documents/{name}/text") as response:
        return f"text: {(await response.json())['text']}"
