"""What answers and documents above `public` said, so that it keeps its label when somebody says it again.

Stateless clients send the history of a conversation with each request, and tools return what they were given. The
store keeps fingerprints, never text. A mirror of them in this process makes a look-up that finds nothing cheap; what it
finds is confirmed by the store, where only what was not removed and has not run out stands.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate

import numpy as np

from app.errors import UnavailableError
from app.models import Finding, Label, Message
from app.protocols import Clock, EchoStore, Fingerprints, Standing
from app.records import DocumentKey
from app.services.detectors import Field
from app.services.fingerprints import CHARACTER_SHINGLE, SHINGLE, FingerprintKey, Tokens
from app.services.mirror import Mirror

logger = logging.getLogger(__name__)

REPEATED_ANSWER = "repeated_answer"
REPEATED_DOCUMENT = "repeated_document"

# How long an answer is known again; a document is known as long as it exists.
ANSWERS_KEPT = timedelta(days=30)
# Rows hold this many fingerprints at most, and are read so many at once.
ROW_FINGERPRINTS = 5_000
ROWS_AT_ONCE = 2_000
# Tenants whose stock phrases stay read.
MOST_KEYS = 256
# Longer texts are read in a thread.
SHORT_TEXT = 64_000

# What models say whatever they are asked; an answer is not known again by these.
STOCK_PHRASES = (
    "Hello! How can I help you today? How can I assist you today? What can I do for you today?",
    "Is there anything else I can help you with today? Is there anything specific you would like to know?",
    "I hope this helps! Let me know if you have any other questions or if you need any further assistance.",
    "Please let me know if you have any further questions. Let me know if you need anything else.",
    "Please let me know if you would like me to explain it in detail. Feel free to ask if you have more questions.",
    "I'm sorry, but I can't help with that. I'm sorry, but I cannot assist with that request.",
    "I'm sorry for the confusion. I apologize for any inconvenience this may have caused. Thank you for your patience.",
    "I don't have enough information to answer that question. Could you please provide more information?",
    "Could you please provide more context or clarify what you mean? Could you please provide more details?",
    "As an AI language model, I don't have access to real-time information. I don't have personal opinions.",
    "The passages do not contain the answer to this question. The documents do not contain information about this.",
    "Here is a summary of the most important points. It is important to note that this is not legal advice.",
    "Based on the information provided in the passages, here is a summary of the main points.",
)


class Echoes:
    """Remembers what was said above `public`, by tenant, and finds it again.

    `shared` says that other processes write to the store too: then every look-up first reads what they have added.
    """

    def __init__(self, *, store: EchoStore, secret: bytes, clock: Clock, shared: bool) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock
        self._shared = shared
        self._mirror = Mirror()
        self._catching_up = asyncio.Lock()
        self._asked = 0
        self._answered = 0

    async def catch_up(self) -> None:
        """Read the rows that were added since the last time. All who wait while others read are served by the next."""
        self._asked += 1
        mine = self._asked
        async with self._catching_up:
            if self._answered < mine:
                served = self._asked
                await self._read_into(self._mirror)
                self._answered = served

    async def _read_into(self, mirror: Mirror) -> None:
        while rows := await self._store.since(mirror.newest_row, limit=ROWS_AT_ONCE):
            await mirror.add(rows)

    async def keep_fresh(self, *, every: float, forget_every: float) -> None:
        """For ever: read what other processes have added, and now and then forget the answers that have run out."""
        elapsed = 0.0
        while True:
            await asyncio.sleep(every)
            elapsed += every
            try:
                await self.catch_up()
                if elapsed >= forget_every:
                    elapsed = 0.0
                    await self.forget_expired()
            except UnavailableError as error:
                logger.warning("echoes wait", extra={"code": error.code})

    async def forget_expired(self) -> None:
        """Erase the answers that have run out, and build the mirror anew without them."""
        if await self._store.forget_expired(now=self._clock()):
            async with self._catching_up:
                fresh = Mirror()
                await self._read_into(fresh)
                self._mirror = fresh

    async def keep_answer(self, answers: Sequence[Message], *, question: str, label: Label, tenant: str) -> None:
        """Remember an answer above `public`, its choices and their tool calls, before the client has all of it."""
        if label > Label.PUBLIC:
            texts = [text for answer in answers for text in _texts(answer)]
            fingerprints = await self._read(texts, tenant=tenant, question=question)
            await self._keep(fingerprints, label=label, tenant=tenant, expires_at=self._clock() + ANSWERS_KEPT)

    async def keep_document(
        self, version: str, texts: Sequence[str], *, label: Label, tenant: str, again: bool = True
    ) -> None:
        """Remember a version above `public`, given its text and its passages, for as long as the version exists.

        `again` says that it may have been remembered before.
        """
        if again:
            await self._store.forget_version(version)
        if label > Label.PUBLIC:
            fingerprints = await self._read(texts, tenant=tenant, question=None)
            await self._keep(fingerprints, label=label, tenant=tenant, version=version)

    async def find(
        self,
        fields: Sequence[Field],
        *,
        tenant: str,
        exchanges: Iterable[Field] = (),
        besides: DocumentKey | None = None,
    ) -> tuple[Finding, ...]:
        """What the fields repeat, as one finding for each field and kind.

        `exchanges` are answers with the questions before them, by which answers are known that are too short to be
        told by themselves. `besides` names a document whose own versions do not count.
        """
        if self._shared:
            await self.catch_up()
        if self._mirror.is_empty:
            return ()
        key = FingerprintKey.derive(self._secret, tenant=tenant)
        if sum(len(field.text) for field in fields) > SHORT_TEXT:
            query = await asyncio.to_thread(_Query.of, fields, exchanges, key)
        else:
            query = _Query.of(fields, exchanges, key)
        known = self._mirror.rows_of(query.values)
        if not known:
            return ()
        numbers = sorted(set().union(*known.values()))
        standing = await self._store.standing(numbers, tenant=tenant, now=self._clock())
        rows = {row: echo for row, echo in standing.items() if besides is None or echo.document != besides}
        return tuple(_findings(query, known, rows))

    async def _read(self, texts: Sequence[str], *, tenant: str, question: str | None) -> Fingerprints:
        key = FingerprintKey.derive(self._secret, tenant=tenant)
        if sum(map(len, texts)) > SHORT_TEXT:
            return await asyncio.to_thread(_fingerprints, texts, key, question)
        return _fingerprints(texts, key, question)

    async def _keep(
        self,
        fingerprints: Fingerprints,
        *,
        label: Label,
        tenant: str,
        version: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        parts = [
            fingerprints[start : start + ROW_FINGERPRINTS] for start in range(0, len(fingerprints), ROW_FINGERPRINTS)
        ]
        if parts:
            await self._store.add(parts, label=label, tenant=tenant, version=version, expires_at=expires_at)
            await self.catch_up()


@dataclass(frozen=True, slots=True)
class _Query:
    """The fingerprints of a request: those of all its words in a row, of its characters, and of its whole fields.

    `word_ends` and `character_ends` say of each field how many of them there are up to its end.
    """

    words: Fingerprints
    characters: Fingerprints
    digests: Mapping[int, Sequence[str]]
    wheres: Sequence[str]
    word_ends: Sequence[int]
    character_ends: Sequence[int]

    @classmethod
    def of(cls, fields: Sequence[Field], exchanges: Iterable[Field], key: FingerprintKey) -> _Query:
        tokens = [Tokens.of(field.text) for field in fields]
        words, characters = key.shingles(tokens)
        digests: dict[int, list[str]] = defaultdict(list)
        for field, read in zip(fields, tokens, strict=True):
            if read.are_telling:
                digests[key.digest(read)].append(field.where)
        for exchange in exchanges:
            digests[key.digest(Tokens.of(exchange.text))].append(exchange.where)
        return cls(
            words,
            characters,
            digests,
            [field.where for field in fields],
            list(accumulate(len(read.words) for read in tokens)),
            list(accumulate(len(read.characters) for read in tokens)),
        )

    @property
    def values(self) -> Fingerprints:
        digests = np.fromiter(self.digests, dtype=np.uint64, count=len(self.digests))
        return np.concatenate((self.words, self.characters, digests))

    def wheres_of(self, value: int) -> set[str]:
        """The fields that a fingerprint is of; a run that reaches over several counts for the last."""
        wheres = set(self.digests.get(value, ()))
        for runs, ends, length in (
            (self.words, self.word_ends, SHINGLE),
            (self.characters, self.character_ends, CHARACTER_SHINGLE),
        ):
            for place in np.flatnonzero(runs == np.uint64(value)).tolist():
                wheres.add(self.wheres[bisect_right(ends, place + length - 1)])
        return wheres


def _findings(query: _Query, known: Mapping[int, set[int]], rows: Mapping[int, Standing]) -> Iterator[Finding]:
    repeated: dict[tuple[str, str], set[int]] = defaultdict(set)
    for value, numbers in known.items():
        for number in numbers & rows.keys():
            detector = REPEATED_DOCUMENT if rows[number].is_document else REPEATED_ANSWER
            for where in query.wheres_of(value):
                repeated[detector, where].add(number)
    for (detector, where), numbers in repeated.items():
        label = max(rows[number].label for number in numbers)
        yield Finding(detector=detector, label=label, where=where, count=len(numbers))


def _texts(answer: Message) -> Iterator[str]:
    yield answer.text
    yield from (call.arguments for call in answer.tool_calls)


def exchange(question: str, answer: str) -> str:
    """A question and the answer to it, as one text by which a short answer is known."""
    return f"{question}\n{answer}"


def _fingerprints(texts: Iterable[str], key: FingerprintKey, question: str | None) -> Fingerprints:
    """Those of each text without stock phrases: its winnowed runs, and its digest; a short one has its question."""
    found = [np.empty(0, dtype=np.uint64)]
    known = _stock_runs(key)
    for text in texts:
        tokens = Tokens.of(text)
        runs = np.concatenate(key.shingles([tokens]))
        if len(runs) and np.isin(runs, known).all():
            continue
        found.append(key.winnowed(tokens))
        if not tokens.are_telling and question is not None and text.strip():
            tokens = Tokens.of(exchange(question, text))
        if tokens.are_telling:
            found.append(np.array([key.digest(tokens)], dtype=np.uint64))
    return np.setdiff1d(np.concatenate(found), known)


@lru_cache(maxsize=MOST_KEYS)
def _stock_runs(key: FingerprintKey) -> Fingerprints:
    """The runs of the stock phrases, for every answer of a tenant."""
    return np.concatenate(key.shingles([Tokens.of(phrase) for phrase in STOCK_PHRASES]))
