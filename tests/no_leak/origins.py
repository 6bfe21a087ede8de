"""What makes a run's text too sensitive for the cloud: each origin of a label, and its public twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.no_leak.drafts import Draft, Upload
from tests.no_leak.surfaces import Kind

# A detector of the suite's own raises when it sees this word, which no text has by accident.
CRASH_WORD = "zorblaxquint"
# `POLICY` of the configurations counts longer requests as not inspected.
LONGEST_INSPECTED = 60_000

Apply = Callable[[Draft, str], None]

CHATS: frozenset[Kind] = frozenset({"chat", "explain"})
ASKS: frozenset[Kind] = CHATS | {"embed", "search"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """`apply` states or stores the given label, `public` on a twin.

    `detected`: the canary itself is what detectors find; on a twin it is an invented word. `own`: positions the origin
    can be tried in, all by default. `needs`: what the deployment must let the suite do.
    """

    apply: Apply
    kinds: frozenset[Kind] = CHATS
    detected: bool = False
    own: frozenset[str] = frozenset()
    needs: str | None = None


def _nothing(_draft: Draft, _label: str) -> None:
    """The canary is found by what it is."""


def _stated(draft: Draft, label: str) -> None:
    draft.body["sensitivity"] = label


def _stated_on_document(draft: Draft, label: str) -> None:
    draft.body["documents"][0]["sensitivity"] = label


def _header(draft: Draft, label: str) -> None:
    draft.headers["x-sluice-sensitivity"] = label


def _header_over_body(draft: Draft, label: str) -> None:
    draft.body["sensitivity"] = "public"
    draft.headers["x-sluice-sensitivity"] = label


def _body_over_header(draft: Draft, label: str) -> None:
    draft.body["sensitivity"] = label
    draft.headers["x-sluice-sensitivity"] = "public"


def _session(draft: Draft, label: str) -> None:
    draft.begin_session()["sensitivity"] = label
    draft.body["sensitivity"] = "public"


def _document(draft: Draft, label: str) -> None:
    draft.add_document()["sensitivity"] = label


def _batch(draft: Draft, label: str) -> None:
    draft.upload = Upload(defaults={"sensitivity": label})
    draft.add_document()["sensitivity"] = "public"


def _document_header(draft: Draft, label: str) -> None:
    draft.upload = Upload(headers={"x-sluice-sensitivity": label})
    draft.add_document()["sensitivity"] = "public"


def _form(draft: Draft, label: str) -> None:
    draft.upload = Upload(defaults={"sensitivity": label}, form=True)
    draft.add_document()


def _default(draft: Draft, label: str) -> None:
    """Nothing is stated, so that the deployment's `DOCUMENT_DEFAULT_LABEL` holds; a twin is stated to be public."""
    document = draft.add_document()
    if label == "public":
        document["sensitivity"] = label


def _lowered(draft: Draft, label: str) -> None:
    """Posted again under the same id as public."""
    draft.upload = Upload(lowered_after=True)
    draft.add_document()["sensitivity"] = label


def _crash(draft: Draft, label: str) -> None:
    if label != "public":
        _add_text(draft.body, CRASH_WORD)


def _too_long(draft: Draft, label: str) -> None:
    if label != "public":
        _add_text(draft.body, "lorem ipsum " * (LONGEST_INSPECTED // len("lorem ipsum ") + 1))


def _add_text(body: dict[str, Any], text: str) -> None:
    """Into the field that holds the question, whatever the surface calls it."""
    for name in ("message", "content", "query"):
        if name in body:
            body[name] += f" {text}"
            return
    if "input" in body:
        body["input"] = [body["input"], text] if isinstance(body["input"], str) else [*body["input"], text]
    elif "messages" in body:
        body["messages"].insert(1, {"role": "user", "content": text})
    else:
        body["documents"][0]["content"] += f" {text}"


LAST = frozenset({"message", "last turn", "input", "query"})
PASSAGES = frozenset({"passage", "title of a passage"})

ORIGINS: Mapping[str, Origin] = {
    "stated": Origin(apply=_stated, kinds=ASKS),
    "header": Origin(apply=_header, kinds=ASKS | {"store"}),
    "header over body": Origin(apply=_header_over_body, kinds=ASKS | {"store"}),
    "body over header": Origin(apply=_body_over_header, kinds=ASKS | {"store"}),
    "stated on document": Origin(apply=_stated_on_document, kinds=frozenset({"store"})),
    "session": Origin(apply=_session),
    "document": Origin(apply=_document),
    "document batch": Origin(apply=_batch),
    "document header": Origin(apply=_document_header),
    "document form": Origin(apply=_form),
    "document default": Origin(apply=_default, needs="document default"),
    "document lowered": Origin(apply=_lowered),
    "detected": Origin(apply=_nothing, kinds=ASKS | {"store"}, detected=True),
    "detector crash": Origin(apply=_crash, kinds=ASKS | {"store"}, needs="detectors"),
    "too long": Origin(apply=_too_long, kinds=ASKS, own=LAST, needs="short policy"),
}
