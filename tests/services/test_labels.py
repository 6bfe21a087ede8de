"""Labels: what a reading joins, and that every text of a request is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import (
    Caller,
    Finding,
    ImagePart,
    Label,
    Message,
    Passage,
    Sampling,
    TextPart,
    ToolCall,
    Tooling,
)
from app.services.detectors import Field
from app.services.labels import HARMLESS_FIELDS, Labeller, Reading, fields_of
from app.services.policy import PolicyFile
from tests.support.process import REPOSITORY

MARK = "brivolunder"
FINDINGS = st.lists(
    st.builds(Finding, detector=st.just("email"), label=st.sampled_from(Label), where=st.just("messages[0].content"))
)

# Each field that may hold text, filled with the mark: what the request is then made of.
FILLED: dict[tuple[str, str], tuple[Message, Sampling, Tooling]] = {
    ("Message", "parts"): (Message.of("user", MARK), Sampling(), Tooling()),
    ("Message", "name"): (Message(role="user", name=MARK), Sampling(), Tooling()),
    ("Message", "tool_call_id"): (Message(role="tool", tool_call_id=MARK), Sampling(), Tooling()),
    ("Message", "tool_calls"): (Message(role="user", tool_calls=(ToolCall("", "", MARK),)), Sampling(), Tooling()),
    ("TextPart", "text"): (Message(role="user", parts=(TextPart(MARK),)), Sampling(), Tooling()),
    ("ImagePart", "url"): (Message(role="user", parts=(ImagePart(f"https://x/{MARK}"),)), Sampling(), Tooling()),
    ("ToolCall", "id"): (Message(role="user", tool_calls=(ToolCall(MARK, "", ""),)), Sampling(), Tooling()),
    ("ToolCall", "name"): (Message(role="user", tool_calls=(ToolCall("", MARK, ""),)), Sampling(), Tooling()),
    ("ToolCall", "arguments"): (Message(role="user", tool_calls=(ToolCall("", "", MARK),)), Sampling(), Tooling()),
    ("Sampling", "stop"): (Message(role="user"), Sampling(stop=(MARK,)), Tooling()),
    ("Tooling", "tools"): (Message(role="user"), Sampling(), Tooling(tools=({"x": {"description": MARK}},))),
    ("Tooling", "tool_choice"): (Message(role="user"), Sampling(), Tooling(tool_choice={"name": MARK})),
    ("Tooling", "response_format"): (Message(role="user"), Sampling(), Tooling(response_format={"schema": [MARK]})),
}


def text_fields() -> Iterator[tuple[str, str]]:
    """Every field of what is sent that nobody has decided to be harmless."""
    for kind in (Message, TextPart, ImagePart, ToolCall, Sampling, Tooling):
        yield from (
            (kind.__name__, each.name) for each in fields(kind) if (kind.__name__, each.name) not in HARMLESS_FIELDS
        )


def test_a_new_field_is_read_or_decided_to_be_harmless() -> None:
    assert sorted(text_fields()) == sorted(FILLED)


@pytest.mark.parametrize("name", FILLED)
def test_every_text_is_read(name: tuple[str, str]) -> None:
    message, sampling, tooling = FILLED[name]
    read = fields_of((message,), sampling=sampling, tooling=tooling)
    assert [field for field in read if MARK in field.text]
    assert not any(MARK in field.where for field in read)


def test_the_pixels_of_an_image_are_not_read_as_text() -> None:
    image = Message(role="user", parts=(ImagePart(f"data:image/png;base64,{MARK}"),))
    assert not any(MARK in field.text for field in fields_of((image,), sampling=Sampling(), tooling=Tooling()))


@given(given_=FINDINGS, found=FINDINGS, more=FINDINGS)
def test_joining_never_lowers_a_label_and_takes_the_highest(
    given_: list[Finding], found: list[Finding], more: list[Finding]
) -> None:
    reading = Reading().join(given_).join_found(found)
    highest = max((finding.label for finding in [*given_, *found]), default=Label.PUBLIC)
    assert reading.label is highest
    for risen in (reading.join(more), reading.join_found(more)):
        assert risen.label is max([highest, *(finding.label for finding in more)])
    assert all(finding.label > Label.PUBLIC for finding in reading.raised_by)


def test_passages_raise_to_the_highest_of_their_documents() -> None:
    passages = [
        Passage(id=str(n), document_id="d", collection="c", version="v", title="", content="", score=1.0, label=label)
        for n, label in enumerate((Label.PUBLIC, Label.CONFIDENTIAL, Label.INTERNAL))
    ]
    reading = Reading().join_passages(passages)
    assert reading.label is Label.CONFIDENTIAL
    assert [finding.where for finding in reading.raised_by] == ["passages[1]", "passages[2]"]


@dataclass(frozen=True, slots=True)
class Repeating:
    """Everything repeats an answer of this label."""

    label: Label

    async def find(self, fields: Sequence[Field], **_: object) -> tuple[Finding, ...]:
        return (Finding(detector="repeated_answer", label=self.label, where=fields[0].where),)


def labeller_of(repeated: Label) -> Labeller:
    echoes: Any = Repeating(repeated)
    return Labeller(policies=PolicyFile(REPOSITORY / "policy.toml"), echoes=echoes, uninspected=Label.INTERNAL)


@given(
    stated=st.sampled_from([None, *Label]),
    floor=st.sampled_from(Label),
    mark=st.sampled_from(Label),
    repeated=st.sampled_from(Label),
    image=st.booleans(),
    text=st.sampled_from(["The weather is fine.", "Write to ann@corp-mail.io", "Ping build7.corp"]),
)
async def test_the_label_of_a_prompt_is_the_highest_of_all_that_bears_on_it(
    stated: Label | None, floor: Label, mark: Label, repeated: Label, image: bool, text: str
) -> None:
    found = {"T": Label.PUBLIC, "W": Label.CONFIDENTIAL, "P": Label.INTERNAL}[text[0]]
    picture = (ImagePart("https://pictures.example/1.png"),) if image else ()
    reading = await labeller_of(repeated).read_prompt(
        (Message(role="user", parts=(TextPart(text), *picture)),),
        sampling=Sampling(),
        tooling=Tooling(),
        caller=Caller(label_floor=floor),
        stated=stated,
        mark=mark,
    )
    uninspected = Label.INTERNAL if image else Label.PUBLIC
    assert reading.label is max(stated or Label.PUBLIC, floor, mark, repeated, found, uninspected)
