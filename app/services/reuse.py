"""What a request can have without a call of its own: a kept answer, or a share of the call that another one makes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import orjson
from pydantic import TypeAdapter

from app.errors import NotFoundError
from app.models import Delta
from app.protocols import CacheStore
from app.services.cache import AnswerCache, Slot
from app.services.cache_entries import CachedAnswer
from app.services.cache_tally import CacheTally
from app.services.calls import Book
from app.services.flights import Flights, Seat
from app.services.leases import LeasedCalls
from app.services.redaction import Outgoing
from app.services.semantic import Asked, SemanticCache
from app.utils.tracing import AttributeValue, traced

SEMANTIC = "semantic"
SERVED_SECONDS = 24 * 3600

ASKED = TypeAdapter(Asked)


def _describe(kept: CachedAnswer | None) -> dict[str, AttributeValue]:
    return {"sluice.cache": "miss" if kept is None else kept.route.cache}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """The caches, the flights and the leases behind one face. `pause` is between the pieces of a replay, in seconds."""

    exact: AnswerCache
    semantic: SemanticCache
    flights: Flights
    leased: LeasedCalls
    tally: CacheTally
    store: CacheStore
    secret: bytes
    pause: float

    @traced("cache", describe=_describe)
    async def find(self, slot: Slot) -> CachedAnswer | None:
        """The kept answer to this request, or to another wording of it where that is allowed."""
        if not slot.request.cache.read:
            return None
        counts = self.tally.of(slot.partition.tenant, slot.partition.label)
        self.tally.count_lookup(counts)
        entry = await self.exact.find(slot)
        if entry is not None:
            self.tally.count_hit(counts, entry, semantic=False)
            return entry.answer
        match = await self.semantic.find(slot)
        if match is None:
            return None
        self.tally.count_hit(counts, match, semantic=True)
        return replace(match.answer, route=replace(match.answer.route, cache=SEMANTIC))

    def seat(self, slot: Slot, outgoing: Outgoing, *, book: Book) -> Seat:
        """A seat on the call that answers this request; alone where it may not be shared, as with anything redacted."""
        key, label = None, outgoing.reading.label
        if outgoing.redacted is None:
            passages = tuple(passage.id for passage in outgoing.prompt.passages)
            key = self.exact.flight_key(slot, label=label, passages=passages)
        if key is None:
            return self.flights.seat(None, book=book)
        return self.flights.seat(
            key, book=book, through=lambda call: self.leased.run(key, slot, label=label, call=call)
        )

    async def keep(self, slot: Slot, answer: CachedAnswer, *, seat: Seat) -> None:
        """Keep a complete answer for requests to come, those that wait for it in other workers first of all."""
        if not seat.is_passed_on:
            kept = await self.exact.keep(slot, answer, seconds=seat.seconds)
            if kept is not None:
                self.tally.count_kept(self.tally.of(slot.partition.tenant, slot.partition.label), size=kept.size)
                await self.semantic.keep(slot, kept.key)
        if seat.key is not None:
            await self.leased.release(seat.key)

    def is_free(self, slot: Slot, seat: Seat) -> bool:
        """Whether the request's answer is another one's call, which is booked for that one."""
        if seat.claim_bill():
            return False
        self.tally.count_shared(self.tally.of(slot.partition.tenant, slot.partition.label))
        return True

    async def note_served(self, answer_id: str, slot: Slot, kept: CachedAnswer) -> None:
        """Remember which question an answer to another wording was given to, for feedback under the answer's id."""
        asked = self.semantic.asked(slot) if kept.route.cache == SEMANTIC else None
        if asked is not None:
            await self.store.set(
                self._served(slot.partition.tenant, answer_id), orjson.dumps(asked), ttl=SERVED_SECONDS
            )

    async def disown_served(self, answer_id: str, *, tenant: str) -> None:
        """Forget an answer that was wrong; raises `NotFoundError` if none was served to other words under this id."""
        place = self._served(tenant, answer_id)
        data = await self.store.get(place)
        if data is None:
            raise NotFoundError("No answer from the cache to other words is known under this id.", param="id")
        await self.semantic.disown(ASKED.validate_json(data))
        await self.store.delete(place)

    async def disown(self, slot: Slot) -> None:
        """Forget the answers that the cache has for this request, in these words and in others."""
        asked = self.semantic.asked(slot)
        if asked is None:
            await self.exact.forget(self.exact.key(slot))
        else:
            await self.semantic.disown(asked)

    def _served(self, tenant: str, answer_id: str) -> str:
        return "served:" + hmac.digest(self.secret, f"{tenant}\0{answer_id}".encode(), hashlib.sha256).hex()

    async def pace(self, kept: CachedAnswer) -> AsyncGenerator[Sequence[Delta], None]:
        """The pieces of a kept answer, all together or one by one with pauses between them."""
        if not self.pause:
            yield kept.deltas
            return
        for number, delta in enumerate(kept.deltas):
            if number:
                await asyncio.sleep(self.pause)
            yield (delta,)
