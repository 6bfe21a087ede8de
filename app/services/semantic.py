"""The semantic cache: answers to other wordings of a question, where both certainly ask the same.

Everything but the wording of the last question must be the same as for an exact hit. Kept questions that are near by
cosine are candidates; one is served only if `agree` finds that it asks the same. The questions of one group (the same
request but for the last question) are one bounded value in the cache's store, shared where the store is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace

import numpy as np
import orjson
from pydantic import TypeAdapter, ValidationError

from app.models import Dispatch, Label, Message, TextPart
from app.protocols import CacheStore, EmbeddingModel, Vectors
from app.services.agreement import agree, canonical_form
from app.services.cache import AnswerCache, Slot
from app.services.cache_entries import Entry

# The newest of a group: more of them would take longer to read than an answer is worth.
MOST_QUESTIONS = 128
# The nearest are looked at, no others.
MOST_CANDIDATES = 8

# The cosine from which a question is a candidate; a partition's own bar rises above it with each wrong hit.
LOWEST_BAR = 0.75
# What a wrong hit adds to its cosine. A bar above 1 lets nothing pass.
STEP = 0.01

GROUP_SECONDS = 7 * 24 * 3600
BAR_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question whose answer is kept under `key`; `vector` is its embedding, half floats in base 64."""

    key: str
    text: str
    vector: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with the places that belong to it: its group's questions, its partition's bar, its exact answer."""

    text: str
    label: Label
    group: str
    bar: str
    key: str


QUESTIONS = TypeAdapter(tuple[Question, ...])


class SemanticCache:
    """Finds answers to other wordings. Questions are embedded through the gate, under their label."""

    def __init__(self, *, store: CacheStore, secret: bytes, exact: AnswerCache, embedder: EmbeddingModel) -> None:
        self._store = store
        self._secret = secret
        self._exact = exact
        self._embedder = embedder

    async def find(self, slot: Slot) -> Entry | None:
        """The kept answer to another wording of this request's question, where the request allows for one."""
        if not slot.request.cache.semantic or not self._exact.reads(slot):
            return None
        asked = self.asked(slot)
        if asked is None:
            return None
        questions = await self._questions(asked.group)
        if not questions:
            return None
        cosines = _cosines(questions, vector=await self._embed(asked))
        bar = await self.bar(asked.bar)
        for position in np.argsort(-cosines)[:MOST_CANDIDATES]:
            if cosines[position] < bar:
                break
            if agree(asked.text, questions[position].text):
                entry = await self._exact.read(questions[position].key, slot)
                if entry is not None:
                    return entry
        return None

    async def keep(self, slot: Slot, key: str) -> None:
        """Let the answer that was just kept under the key be found by other wordings, if its request allows for it."""
        if not slot.request.cache.semantic:
            return
        asked = self.asked(slot)
        if asked is None:
            return
        vector = base64.b64encode((await self._embed(asked)).astype(np.float16).tobytes()).decode()
        others = [question for question in await self._questions(asked.group) if question.key != key]
        newest = (Question(key=key, text=asked.text, vector=vector), *others)[:MOST_QUESTIONS]
        await self._store.set(asked.group, orjson.dumps(newest), ttl=GROUP_SECONDS)

    async def disown(self, asked: Asked) -> None:
        """Forget the answers that were served to this question, and ask more of the next in this partition."""
        questions = await self._questions(asked.group)
        wrong = [question for question in questions if question.key == asked.key or agree(asked.text, question.text)]
        left = [question for question in questions if question not in wrong]
        if wrong:
            nearest = float(_cosines(wrong, vector=await self._embed(asked)).max())
            bar = max(await self.bar(asked.bar), nearest) + STEP
            await self._store.set(asked.bar, orjson.dumps(bar), ttl=BAR_SECONDS)
            await self._store.set(asked.group, orjson.dumps(left), ttl=GROUP_SECONDS)
        for key in {asked.key, *(question.key for question in wrong)}:
            await self._exact.forget(key)

    async def bar(self, place: str) -> float:
        """The cosine that a candidate needs in a partition."""
        data = await self._store.get(place)
        return LOWEST_BAR if data is None else float(orjson.loads(data))

    def asked(self, slot: Slot) -> Asked | None:
        """The question of a request, `None` if it has none that other words could ask, or none that may be embedded."""
        messages, partition = slot.request.messages, slot.partition
        text = _question(messages[-1])
        if text is None or partition.label > self._embedder.model.clearance or canonical_form(text) is None:
            return None
        rest = replace(slot.request, messages=(*messages[:-1], Message(role="user")))
        space = self._embedder.fingerprint
        who = orjson.dumps([partition.tenant, partition.label, partition.reads])
        return Asked(
            text=text,
            label=partition.label,
            group="near:" + self._digest(f"{space}:{self._exact.key(replace(slot, request=rest))}".encode()),
            bar="bar:" + self._digest(who),
            key=self._exact.key(slot),
        )

    async def _questions(self, group: str) -> tuple[Question, ...]:
        data = await self._store.get(group)
        try:
            return () if data is None else QUESTIONS.validate_json(data)
        except ValidationError:
            return ()

    async def _embed(self, asked: Asked) -> Vectors:
        """Of shape (dimensions,)."""
        vectors = await self._embedder.embed(Dispatch((asked.text,), asked.label, self._embedder.model))
        first: Vectors = vectors[0]
        return first

    def _digest(self, material: bytes) -> str:
        return hmac.digest(self._secret, material, hashlib.sha256).hex()


def _question(message: Message) -> str | None:
    if message.role != "user" or not all(isinstance(part, TextPart) for part in message.parts):
        return None
    return message.text


def _cosines(questions: list[Question] | tuple[Question, ...], *, vector: Vectors) -> Vectors:
    """Of shape (questions,)."""
    rows = b"".join(base64.b64decode(question.vector) for question in questions)
    cosines: Vectors = np.frombuffer(rows, np.float16).reshape(len(questions), -1).astype(np.float32) @ vector
    return cosines
