"""The table: reading and writing items, each call within the limits that DynamoDB sets for one request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from typing import Any, Final, TypeVar

from app.errors import DatabaseUnavailableError
from app.stores.dynamo import client as aws
from app.stores.dynamo.client import Client
from app.stores.dynamo.codec import Item, read_item, write_item
from app.stores.dynamo.writes import Absent, Add, Equal, Key, Put, Write, render
from app.utils.dynamo_address import DynamoAddress

# The limits of one request: docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html.
TRANSACTION_WRITES: Final = 100
BATCH_WRITES: Final = 25
BATCH_READS: Final = 100
# An item holds 400 KB with the names of its attributes.
PART_BYTES: Final = 320 * 1024
# A request takes 16 MB; one of more than 1 MB, with bytes in base64, holds up the event loop while it is sent.
BATCH_BYTES: Final = 700 * 1024

# So often is a change tried anew that another one came before; the pauses in between add up to some seconds.
ATTEMPTS: Final = 24
FIRST_PAUSE: Final = 0.004
LONGEST_PAUSE: Final = 0.4
REQUESTS_AT_ONCE: Final = 8
RETRY_AFTER_SECONDS: Final = 1.0

LISTS: Final = ("lists", "lpk", "lsk")
DUE: Final = ("due", "dpk", "dsk")

_T = TypeVar("_T")
_SINGLE = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}


class LostError(Exception):
    """A condition did not hold: somebody else has changed the item since it was read."""


class Table:
    """One table, shared by the stores over it. Its methods raise `DatabaseUnavailableError` when it is away.

    Reads are strongly consistent, those of the indexes (`LISTS`, `DUE`) excepted, which DynamoDB brings up to date a
    moment later: what they find is read again by its key before it counts.
    """

    def __init__(self, client: Client, name: str, *, jitter: Callable[[], float] = random.random) -> None:
        self._client = client
        self._name = name
        self._jitter = jitter
        self._seats = asyncio.Semaphore(REQUESTS_AT_ONCE)

    @classmethod
    async def open(cls, address: DynamoAddress, *, stack: AsyncExitStack, create: bool = True) -> Table:
        """Connect, and make the table if it is not there; `stack` closes the connections.

        Raises `ConfigurationError` if there is no such table and it may not be made, or nobody may use it like this.
        """
        client = await aws.connect(address, stack=stack)
        await aws.prepare(client, address, create=create)
        return cls(client, address.table)

    async def ping(self) -> None:
        """Raise `DatabaseUnavailableError` if the table does not answer."""
        await self.get(Key("ping", "ping"))

    # Reading

    async def get(self, key: Key) -> Item | None:
        with aws.translated():
            answer = await self._client.get_item(TableName=self._name, Key=key.write(), ConsistentRead=True)
        return read_item(answer["Item"]) if "Item" in answer else None

    async def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Those of the items that are there."""
        batches = [self._get_batch(batch) for batch in in_batches(dict.fromkeys(keys), BATCH_READS)]
        return {Key.of(item): item for items in await asyncio.gather(*batches) for item in items}

    async def _get_batch(self, keys: Sequence[Key]) -> list[Item]:
        wanted: Any = {self._name: {"Keys": [key.write() for key in keys], "ConsistentRead": True}}
        found: list[Item] = []
        async for _ in self._attempts():
            async with self._seats:
                with aws.translated():
                    answer = await self._client.batch_get_item(RequestItems=wanted)
            found += map(read_item, answer["Responses"].get(self._name, ()))
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                return found
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS)

    async def query(
        self,
        pk: str,
        *,
        first: str = "",
        last: str = "\U0010ffff",
        index: tuple[str, str, str] | None = None,
        descending: bool = False,
        keys_only: bool = False,
    ) -> AsyncIterator[Item]:
        """The items of a partition from `first` to `last`, in their order; of an index the keys, in its order."""
        name, partition, place = index or (None, "pk", "sk")
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": f"{partition} = :pk AND {place} BETWEEN :first AND :last",
            "ExpressionAttributeValues": write_item({":pk": pk, ":first": first or " ", ":last": last}),
            "ScanIndexForward": not descending,
            **({"ConsistentRead": True} if name is None else {"IndexName": name}),
            **({"ProjectionExpression": "pk, sk"} if keys_only else {}),
        }
        while True:
            with aws.translated():
                answer = await self._client.query(**arguments)
            for item in answer["Items"]:
                yield read_item(item)
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    # Writing

    async def commit(self, *writes: Write) -> None:
        """Do all of the writes, at most `TRANSACTION_WRITES`, or none; raises `LostError` if a condition fails."""
        rendered = [render(write, table=self._name) for write in writes]
        async for _ in self._attempts():
            try:
                with aws.translated():
                    await self._commit(rendered)
            except aws.BusyError:
                continue
            except aws.ConditionError:
                raise LostError from None
            return
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS)

    async def _commit(self, rendered: Sequence[tuple[str, dict[str, Any]]]) -> None:
        if len(rendered) == 1 and rendered[0][0] in _SINGLE:
            operation, arguments = rendered[0]
            await getattr(self._client, _SINGLE[operation])(**arguments)
        else:
            writes = [{operation: arguments} for operation, arguments in rendered]
            await self._client.transact_write_items(TransactItems=writes)

    async def again(self, change: Callable[[], Awaitable[_T]]) -> _T:
        """Do a change that reads and commits, anew as long as others come before it."""
        async for _ in self._attempts():
            try:
                return await change()
            except LostError:
                continue
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS)

    async def count(self, name: str, amount: int = 1) -> int:
        """Count up, by everyone who counts under this name; the first of the `amount` numbers that are the caller's."""
        _, arguments = render(Add(Key("counter", name), {"value": amount}), table=self._name)
        with aws.translated():
            answer = await self._client.update_item(**arguments, ReturnValues="UPDATED_NEW")
        return int(read_item(answer["Attributes"])["value"]) - amount + 1

    async def put_many(self, items: Iterable[Item]) -> None:
        """Store items that no reader looks at before something else names them: not all of them at once."""
        await self._write_batches(
            [{"PutRequest": {"Item": write_item(item)}} for item in batch] for batch in _light_batches(items)
        )

    async def delete_many(self, keys: Iterable[Key]) -> None:
        batches = in_batches(keys, BATCH_WRITES)
        await self._write_batches([{"DeleteRequest": {"Key": key.write()}} for key in batch] for batch in batches)

    async def empty(self, pk: str, *, first: str = "", last: str = "\U0010ffff") -> None:
        """Delete the items of a partition from `first` to `last`."""
        await self.delete_many([Key.of(item) async for item in self.query(pk, first=first, last=last, keys_only=True)])

    async def _write_batches(self, batches: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        """A few batches at a time, so that what is large is not all in memory twice."""
        for several in in_batches(batches, REQUESTS_AT_ONCE):
            await asyncio.gather(*(self._write_batch(batch) for batch in several))

    async def _write_batch(self, requests: Sequence[Mapping[str, Any]]) -> None:
        left: Any = {self._name: requests}
        async for _ in self._attempts():
            async with self._seats:
                with aws.translated():
                    answer = await self._client.batch_write_item(RequestItems=left)
            left = answer.get("UnprocessedItems")
            if not left:
                return
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS)

    async def _attempts(self) -> AsyncIterator[int]:
        pause = FIRST_PAUSE
        for attempt in range(ATTEMPTS):
            yield attempt
            await asyncio.sleep(pause * (0.5 + self._jitter()))
            pause = min(pause * 2, LONGEST_PAUSE)


def put_at(item: Item, *, revision: int | None) -> Put:
    """Store the item one revision on, if it still is at the one that was read; `None` is one that was not there."""
    when = Absent() if revision is None else Equal("revision", revision)
    return Put({**item, "revision": (revision or 0) + 1}, when)


def in_batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Split into lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _light_batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    weight = 0
    for item in items:
        added = sum(len(value) for value in item.values() if isinstance(value, str | bytes))
        if batch and (len(batch) == BATCH_WRITES or weight + added > BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += added
    if batch:
        yield batch


def parts_of(content: bytes) -> Iterator[bytes]:
    """The content cut into what an item holds; at least one part."""
    yield from (content[start : start + PART_BYTES] for start in range(0, len(content) or 1, PART_BYTES))
