"""What one run of a cell sends: its words, the requests that come before, and the request itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.support.canaries import SECRETS as MADE_UP_SECRETS
from tests.support.canaries import card_number, iban, invent_word, json_web_token

# Runs share no six words in a row, or a public twin would repeat what another run said under a label.
QUESTION = "Who repaired the {thing}?"
PASSAGE = "The {thing} was repaired by"

# Secrets that stand in a name or a URL as they are, and those that need a text around them.
SHORT_SECRETS = {
    "openai_key": MADE_UP_SECRETS["openai_key"],
    "github_token": MADE_UP_SECRETS["github_token"],
    "aws_access_key": MADE_UP_SECRETS["aws_access_key"],
}
SECRETS = {**MADE_UP_SECRETS, "json_web_token": json_web_token, "card_number": card_number, "iban": iban}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of one run: `canary` stands in the cell's position, `carrier` in the question beside it.

    A carrier shows that a request went out whose canary is in a field that is never passed on. `thing` is what is asked
    about and what the document is about, `name` what the session, the collection and the document are called.
    """

    canary: str
    carrier: str
    thing: str
    name: str


@dataclass(slots=True, kw_only=True)
class Draft:
    """A request in the making. `earlier` is the turn of the session before it, `document` what it can draw on."""

    words: Words
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, Any] | None = None
    document: dict[str, Any] | None = None
    upload: Upload | None = None

    @property
    def question(self) -> str:
        return f"{QUESTION.format(thing=self.words.thing)} {self.words.carrier}"

    def begin_session(self) -> dict[str, Any]:
        """The earlier turn, which from now on there is."""
        if self.earlier is None:
            self.earlier = {
                "message": f"Good morning {self.words.thing}.",
                "documents": False,
                "session_id": self.words.name,
            }
            self.body["session_id"] = self.words.name
        return self.earlier

    def add_document(self) -> dict[str, Any]:
        """The document, which from now on there is."""
        if self.document is None:
            content = PASSAGE.format(thing=self.words.thing)
            self.document = {"id": self.words.name, "title": "Repairs", "content": content}
            self.upload = self.upload or Upload()
            if "query" not in self.body:
                self.body["documents"] = {"collection": self.words.name}
        return self.document


@dataclass(slots=True, kw_only=True)
class Upload:
    """How a document is handed in: what is stated beside it, in a header, and whether it comes as a form."""

    defaults: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    form: bool = False
    lowered_after: bool = False


def choose_words(seed: str, *, secret: str | None) -> Words:
    """The words that belong to the seed, the same on every run; `secret` names a detectable kind of canary."""
    chance = random.Random(seed)
    return Words(
        canary=SECRETS[secret](chance) if secret else invent_word(chance),
        carrier=invent_word(chance),
        thing=f"{invent_word(chance)} {invent_word(chance)}",
        name=f"{chance.getrandbits(64):016x}",
    )
