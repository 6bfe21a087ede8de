"""Small values that every process over the table shares: repeated requests, and the secret that keys digests."""

from __future__ import annotations

from datetime import timedelta

from app.protocols import Clock
from app.stores.dynamo import codec
from app.stores.dynamo.table import LostError, Table
from app.stores.dynamo.writes import Absent, AbsentOrBelow, Key, Put


class DynamoReplayStore:
    """Digests under keys, until they run out; implements `ReplayStore`."""

    def __init__(self, table: Table, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        item = await self._table.get(_place(key))
        if item is None or item["expires_at"] <= codec.write_moment(self._clock()):
            return None
        return bytes(item["value"])

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        now, place = self._clock(), _place(key)
        end = now + timedelta(seconds=ttl)
        item = {
            "pk": place.pk,
            "sk": place.sk,
            "value": value,
            "expires_at": codec.write_moment(end),
            "expires": codec.seconds(end),
        }
        free = AbsentOrBelow("expires_at", codec.write_moment(now + timedelta(microseconds=1)))
        try:
            await self._table.commit(Put(item, free))
        except LostError:  # the key has a value
            return


async def shared_secret(table: Table, *, offered: bytes) -> bytes:
    """The secret that keys digests: the one that is stored, or else this one, which is stored."""
    place = Key("secret", "digests")
    try:
        await table.commit(Put({"pk": place.pk, "sk": place.sk, "value": offered}, Absent()))
    except LostError:
        kept = await table.get(place)
        return bytes(kept["value"]) if kept else offered
    return offered


def _place(key: str) -> Key:
    return Key(codec.join("replay", key), "replay")
