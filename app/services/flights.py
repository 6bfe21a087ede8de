"""One flight: requests that are alike at the same moment share one call to a model, each at its own pace.

A task of its own reads the call into a buffer; every request that shares it has a seat with a place in that buffer, so
that nobody waits for anybody and who comes late reads from the start. The call ends when the last seat is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from app.errors import UnavailableError
from app.models import Attempt, Charge, Delta, Piece, Route
from app.services.calls import Book
from app.services.completion import PASSING_FAILURES

Item = Attempt | Piece
Source = Callable[[], AsyncGenerator[Item, None]]
# What a call is made through, such as a lease.
Through = Callable[[Source], AsyncGenerator[Item, None]]

# The outcome of an attempt that made no call: the answer of another worker's call is passed on.
PASSED_ON = "passed_on"
ANSWERS = frozenset({"ok", PASSED_ON})

# An answer that grows beyond this takes in nobody else, and drops what all its seats have read.
MOST_BYTES = 16 * 1024 * 1024
BYTES_OF_AN_ITEM = 200

# A call that failed in passing is made once more, for one of those that wait; then its failure is the answer for all.
MOST_CALLS = 2


class FellBehindError(UnavailableError):
    """A reader of a very long answer that others share was so slow that what it had not read was dropped."""

    code = "fell_behind"
    message = "The answer was read too slowly; ask again."


class Seat:
    """One request's place on a flight, or alone on a call of its own (`key` is `None`). Left on leaving its context."""

    def __init__(self, flights: Flights, key: str | None, *, book: Book, through: Through | None = None) -> None:
        self._flights = flights
        self._book = book
        self._through = through
        self._flight: _Flight | None = None
        self._began = 0.0
        self.key = key
        self.leads = True
        self.is_passed_on = False
        self.position = 0

    @property
    def seconds(self) -> float:
        """How long ago the ride began."""
        return asyncio.get_running_loop().time() - self._began

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def ride(self, source: Source) -> AsyncGenerator[Item, None]:
        """The items of the call, from its first on; `source` makes the call if it has to be made for this seat."""
        self._began = asyncio.get_running_loop().time()
        if self.key is None:
            async with aclosing(source()) as items:
                async for item in items:
                    yield item
            return
        make = source if self._through is None else partial(self._through, source)
        flight = self._flight = self._flights.board(self.key, self, source=make, book=self._book)
        try:
            while await flight.has_more(self):
                yield flight.take(self)
        except BaseException:
            # At once, before the request's own end: whoever is cut closes the call that nobody else reads.
            await self._leave()
            raise

    def note(self, route: Route, attempt: Attempt) -> Route:
        """The route with what the attempt tells of it: attempts are those of the request that made them."""
        self.is_passed_on = self.is_passed_on or attempt.outcome == PASSED_ON
        if self.leads and not self.is_passed_on:
            return replace(route, attempts=(*route.attempts, attempt))
        return replace(route, cache="flight") if attempt.outcome in ANSWERS else route

    def book(self, charge: Charge) -> None:
        """Book a call that was made for this seat: for the first that reads it, this one or another."""
        (self._book if self._flight is None else self._flight.payer)(charge)

    async def once(self, settle: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do for all seats together what is to be done once, when the answer is complete."""
        await (settle() if self._flight is None else self._flight.settle(settle))

    def claim_bill(self) -> bool:
        """Whether this is the request that the call is booked for: the first of those that are still here."""
        return self._flight is None or self._flight.claim_bill(self)

    async def _leave(self) -> None:
        if self._flight is not None:
            await self._flight.leave(self)


class Flights:
    """The calls of this process that may be shared, by the digest of what they ask for and where it may be seen."""

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._open: dict[str, _Flight] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def readers(self) -> int:
        """How many requests have a seat on the calls that take in others."""
        return sum(flight.readers for flight in self._open.values())

    def seat(self, key: str | None, *, book: Book, through: Through | None = None) -> Seat:
        """A seat that is taken when it is first read from; its call would be made `through` something."""
        return Seat(self, key, book=book, through=through)

    def board(self, key: str, seat: Seat, *, source: Source, book: Book) -> _Flight:
        """Take the seat on the flight under the key, which begins if there is none."""
        flight = self._open.get(key)
        seat.leads = flight is None
        if flight is None:
            flight = self._open[key] = _Flight(most_bytes=self._most_bytes, close=lambda: self._close(key))
        flight.board(seat, source=source, book=book)
        return flight

    def _close(self, key: str) -> None:
        self._open.pop(key, None)


class _Flight:
    """A call that is being made, what came of it so far, and who reads it. `close` ends the taking in of others."""

    def __init__(self, *, most_bytes: int, close: Callable[[], None]) -> None:
        self._most_bytes = most_bytes
        self._close: Callable[[], None] | None = close
        self._seats: dict[Seat, Source] = {}
        self._books: dict[Seat, Book] = {}
        self._items: list[Item] = []
        self._dropped = 0
        self._bytes = 0
        self._begun = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._billed = False
        self._settling: asyncio.Task[None] | None = None
        self._flying: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        return len(self._seats)

    # For the seats

    def board(self, seat: Seat, *, source: Source, book: Book) -> None:
        self._seats[seat] = source
        self._books[seat] = book
        if self._flying is None:
            self._flying = asyncio.create_task(self._fly())

    async def has_more(self, seat: Seat) -> bool:
        """Wait for the seat's next item; false at the end. Raises what the call failed with."""
        while seat.position >= self._dropped + len(self._items):
            if self._is_over:
                if self._error is not None:
                    raise self._error.with_traceback(None)
                return False
            self._news.clear()
            await self._news.wait()
        if seat.position < self._dropped:
            raise FellBehindError
        return True

    def take(self, seat: Seat) -> Item:
        """The seat's next item, which is there."""
        item = self._items[seat.position - self._dropped]
        seat.position += 1
        self._room.set()
        return item

    async def leave(self, seat: Seat) -> None:
        """Give the seat up. The last one takes the call with it, and waits until its connection is closed."""
        self._seats.pop(seat, None)
        self._room.set()
        if self._seats:
            self._books.pop(seat, None)
            return
        self._end_boarding()
        if self._flying is not None and not self._flying.done():
            self._flying.cancel()
            await asyncio.wait({self._flying})
        # Nothing is booked any more. Without this the seat and the flight would wait for the garbage collector.
        self._books.clear()

    async def settle(self, settle: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """The first that asks has it done; it goes on for the others if that one leaves."""
        if self._settling is None:
            self._settling = asyncio.create_task(settle())
        await asyncio.shield(self._settling)

    def claim_bill(self, seat: Seat) -> bool:
        claimed = not self._billed and next(iter(self._seats), None) is seat
        self._billed = self._billed or claimed
        return claimed

    # For the call

    @property
    def payer(self) -> Book:
        """Whose account a call goes to: that of the first who is here, or else of the last who was."""
        here = next(iter(self._seats), None)
        return self._books[here] if here is not None else next(reversed(self._books.values()))

    @property
    def _is_over(self) -> bool:
        return self._flying is not None and self._flying.done()

    async def _fly(self) -> None:
        """Make the call, and once more if it failed in passing before anything was given out and somebody waits."""
        try:
            for number in range(MOST_CALLS):
                self._error = None
                sources = list(self._seats.values())
                # Who leads has had its call, so the second one is that of the last that came.
                await self._call(sources[-1] if number else sources[0])
                if not self._may_call_again:
                    return
        finally:
            # Once more, when this task is done: that is how the seats know that nothing else comes.
            asyncio.get_running_loop().call_soon(self._wake)

    @property
    def _may_call_again(self) -> bool:
        return len(self._seats) > 1 and not self._begun and type(self._error) in PASSING_FAILURES

    async def _call(self, source: Source) -> None:
        try:
            async with aclosing(source()) as items:
                async for item in items:
                    await self._add(item)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is raised again in every seat)
            self._error = error

    async def _add(self, item: Item) -> None:
        self._begun = self._begun or isinstance(item, Delta)
        self._billed = self._billed or (isinstance(item, Attempt) and item.outcome == PASSED_ON)
        self._items.append(item)
        self._bytes += _size(item)
        self._wake()
        while self._bytes > self._most_bytes:
            self._end_boarding()
            self._drop(upto=min((seat.position for seat in self._seats), default=0))
            if self._bytes > self._most_bytes:
                await self._make_room()

    async def _make_room(self) -> None:
        """A reader that is alone is waited for, as is the fastest of several; who is far behind is left behind."""
        fastest = max((seat.position for seat in self._seats), default=0)
        while self._bytes > self._most_bytes and len(self._seats) > 1 and self._dropped < fastest:
            self._drop(upto=self._dropped + 1)
        if self._bytes > self._most_bytes:
            self._room.clear()
            await self._room.wait()

    def _drop(self, *, upto: int) -> None:
        count = max(0, upto - self._dropped)
        self._bytes -= sum(_size(item) for item in self._items[:count])
        del self._items[:count]
        self._dropped += count

    def _wake(self) -> None:
        self._news.set()

    def _end_boarding(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None


def _size(item: Item) -> int:
    """About how many bytes the item takes in memory."""
    if not isinstance(item, Delta):
        return BYTES_OF_AN_ITEM
    calls = sum(len(call.arguments) for call in item.tool_calls) if item.tool_calls else 0
    return BYTES_OF_AN_ITEM + len(item.content) + len(item.refusal) + calls
