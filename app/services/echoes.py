"""What answers and documents above `public` said, so that it keeps its label when somebody says it again.

Stateless clients send the history of a conversation with each request, and tools return what they were given. The
store keeps fingerprints, never text; a mirror of them in this process makes a look-up that finds nothing cheap, and what
the mirror finds is confirmed by the store, where what was removed or has run out no longer stands.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

import numpy as np

from app.errors import UnavailableError
from app.models import Finding, Label, Message
from app.protocols import Clock, Echo, EchoStore, Fingerprints, Standing
from app.services.detectors import Field
from app.services.fingerprints import CHARACTER_SHINGLE, SHINGLE, FingerprintKey, Tokens

logger = logging.getLogger(__name__)

REPEATED_ANSWER = "repeated_answer"
REPEATED_DOCUMENT = "repeated_document"

# How long an answer is known again; a document is known as long as it exists.
ANSWERS_KEPT = timedelta(days=30)
# Rows hold this many fingerprints at most, and are read so many at once.
ROW_FINGERPRINTS = 50_000
ROWS_AT_ONCE = 200
# Fingerprints that wait in a dictionary before they are sorted in with the others.
WAITING = 20_000
# Longer texts are read in a thread.
SHORT_TEXT = 64_000


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Fingerprints in ascending order, and the number of the row that each is from."""

    values: Fingerprints
    rows: Fingerprints

    @classmethod
    def of(cls, values: Fingerprints, rows: Fingerprints) -> _Sorted:
        order = np.argsort(values, kind="stable")
        return cls(values[order], rows[order])

    def rows_of(self, values: Fingerprints) -> Iterator[tuple[int, int]]:
        """The values that are here, each with every row that has it."""
        if not len(self.values):
            return
        starts = np.searchsorted(self.values, values)
        found = self.values[np.minimum(starts, len(self.values) - 1)] == values
        for start, value in zip(starts[found].tolist(), values[found].tolist(), strict=True):
            end = int(np.searchsorted(self.values, np.uint64(value), side="right"))
            yield from ((value, row) for row in self.rows[start:end].tolist())


_NOTHING = _Sorted(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))


class Mirror:
    """The fingerprints of every row that this process knows of, newest in a dictionary, the others sorted."""

    def __init__(self) -> None:
        self.newest_row = 0
        self._waiting: dict[int, tuple[int, ...]] = {}
        self._sorting: dict[int, tuple[int, ...]] = {}
        self._sorted = _NOTHING

    async def add(self, echo: Echo) -> None:
        """Take in a row; a row that is known already changes nothing in what is found."""
        self.newest_row = max(self.newest_row, echo.number)
        for value in echo.fingerprints.tolist():
            self._waiting[value] = (*self._waiting.get(value, ()), echo.number)
        if len(self._waiting) > max(WAITING, len(self._sorted.values) // 8) and not self._sorting:
            self._sorting, self._waiting = self._waiting, {}
            self._sorted = await asyncio.to_thread(_merge, self._sorted, self._sorting)
            self._sorting = {}

    def rows_of(self, values: Fingerprints) -> dict[int, set[int]]:
        """The values that are known, each with the rows that have it."""
        rows: dict[int, set[int]] = defaultdict(set)
        plain = values.tolist()
        for waiting in (self._waiting, self._sorting):
            if not waiting.keys().isdisjoint(plain):
                for value in waiting.keys() & set(plain):
                    rows[value].update(waiting[value])
        for value, row in self._sorted.rows_of(values):
            rows[value].add(row)
        return rows


def _merge(known: _Sorted, waiting: Mapping[int, tuple[int, ...]]) -> _Sorted:
    pairs = [(value, row) for value, rows in waiting.items() for row in rows]
    values, rows = np.array(pairs, dtype=np.uint64).T
    return _Sorted.of(np.concatenate((known.values, values)), np.concatenate((known.rows, rows)))


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

    async def catch_up(self) -> None:
        """Read the rows that were added since the last time."""
        async with self._catching_up:
            while rows := await self._store.since(self._mirror.newest_row, limit=ROWS_AT_ONCE):
                for echo in rows:
                    await self._mirror.add(echo)

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
                self._mirror = Mirror()
            await self.catch_up()

    async def keep_answer(self, answers: Sequence[Message], *, question: str, label: Label, tenant: str) -> None:
        """Remember an answer above `public`, its choices and their tool calls, before the client has all of it."""
        if label > Label.PUBLIC:
            texts = [text for answer in answers for text in _texts(answer)]
            fingerprints = await self._read(texts, tenant=tenant, question=question)
            await self._keep(fingerprints, label=label, tenant=tenant, expires_at=self._clock() + ANSWERS_KEPT)

    async def keep_document(self, version: str, texts: Sequence[str], *, label: Label, tenant: str) -> None:
        """Remember a version above `public`, given its text and its passages, for as long as the version exists."""
        await self._store.forget_version(version)
        if label > Label.PUBLIC:
            fingerprints = await self._read(texts, tenant=tenant, question=None)
            await self._keep(fingerprints, label=label, tenant=tenant, version=version)

    async def find(
        self, fields: Sequence[Field], *, tenant: str, exchanges: Sequence[Field] = (), besides: str | None = None
    ) -> tuple[Finding, ...]:
        """What the fields repeat, as one finding for each field and kind.

        `exchanges` are answers with the questions before them, by which answers are known that are too short to be
        told by themselves. `besides` names a document version whose own text is no repetition.
        """
        if self._shared:
            await self.catch_up()
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
        rows = {row: echo for row, echo in standing.items() if besides is None or echo.version != besides}
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
    def of(cls, fields: Sequence[Field], exchanges: Sequence[Field], key: FingerprintKey) -> _Query:
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
            detector = REPEATED_ANSWER if rows[number].version is None else REPEATED_DOCUMENT
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
    """Those of each text: its winnowed runs, and its digest; with the question before it if it is short."""
    found = [np.empty(0, dtype=np.uint64)]
    for text in texts:
        tokens = Tokens.of(text)
        found.append(key.winnowed(tokens))
        if not tokens.are_telling and question is not None and text.strip():
            tokens = Tokens.of(exchange(question, text))
        if tokens.are_telling:
            found.append(np.array([key.digest(tokens)], dtype=np.uint64))
    return np.unique(np.concatenate(found))
