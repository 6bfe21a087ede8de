"""Vectors in PostgreSQL with the extension pgvector: one table for each space, in a schema of their own."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import numpy as np

from app.errors import ConfigurationError, VectorStoreUnavailableError
from app.protocols import Vectors
from app.records import VectorHit

SCHEMES: Final = ("postgresql", "postgres")
SCHEMA: Final = "sluice_vectors"
# pgvector before 0.8 leaves rows out when fewer than asked for come out of one walk through the graph.
OLDEST_VERSION: Final = (0, 8)
# As with Chroma: recall@10 on 10,000 random vectors of 384 dimensions, the hardest kind, is 0.99.
GRAPH: Final = "m = 32, ef_construction = 200"
WALK: Final = "SET hnsw.ef_search = 400; SET hnsw.iterative_scan = strict_order"
# What an HNSW index takes: more dimensions are kept in half precision, and still more are compared one by one.
MOST_DIMENSIONS: Final = 2_000
MOST_HALF_DIMENSIONS: Final = 4_000
# Any number that nobody else in the database uses.
CREATION_LOCK: Final = 5_108_204_332
CONNECTIONS: Final = 4
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
RETRY_AFTER_SECONDS: Final = 1.0

# The vectors are of unit length, so their inner product is their cosine; `<#>` is that product negated.
NEAREST: Final = "SELECT id, -(embedding <#> $1) AS similarity FROM SPACE ORDER BY embedding <#> $1 LIMIT $2"
# Materialised: all of these are to be compared, which a walk through the graph would not do.
NEAREST_WITHIN: Final = (
    "WITH held AS MATERIALIZED (SELECT id, embedding FROM SPACE WHERE id = ANY($3)) "
    "SELECT id, -(embedding <#> $1) AS similarity FROM held ORDER BY embedding <#> $1 LIMIT $2"
)

# The binary form of `vector` and `halfvec`: dimensions and a zero, 16 bits each, then the numbers, all big-endian
# (pgvector, src/vector.c and src/halfvec.c, `vector_send` and `halfvec_send`).
_HEADER: Final = struct.Struct(">HH")
_NUMBERS: Final = {"vector": ">f4", "halfvec": ">f2"}


class PgVectorIndex:
    """Vectors in tables with an HNSW index; implements `VectorIndex`."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, url: str) -> PgVectorIndex:
        """Use the database at `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, whose URL may ask for TLS as asyncpg's.

        Raises `VectorStoreUnavailableError` if it does not answer and `ConfigurationError` if it has no pgvector.
        """
        url = _checked(url)
        async with _translated():
            first = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=ANSWER_SECONDS)
            try:
                await _prepare(first)
            finally:
                await first.close()
            pool = asyncpg.create_pool(
                url,
                min_size=1,
                max_size=CONNECTIONS,
                init=_initialise,
                reset=_keep_settings,
                timeout=CONNECT_SECONDS,
                command_timeout=ANSWER_SECONDS,
                server_settings={"application_name": "sluice vectors"},
            )
            await pool
        return cls(pool)

    async def upsert(self, space: str, *, ids: Sequence[str], vectors: Vectors) -> None:
        if not ids:
            return
        statement = _on(
            space,
            "INSERT INTO SPACE (id, embedding) VALUES ($1, $2) "
            "ON CONFLICT (id) DO UPDATE SET embedding = excluded.embedding",
        )
        rows = list(zip(ids, vectors, strict=True))
        async with self._connection() as connection:
            try:
                await connection.executemany(statement, rows)
            except asyncpg.UndefinedTableError:
                await _create(connection, space, dimensions=vectors.shape[1])
                await connection.executemany(statement, rows)

    async def query(
        self, space: str, *, vector: Vectors, limit: int, within: Sequence[str] | None = None
    ) -> list[VectorHit]:
        if limit < 1:
            return []
        if within is None:
            rows = await self._fetch(_on(space, NEAREST), vector, limit)
        else:
            rows = await self._fetch(_on(space, NEAREST_WITHIN), vector, limit, list(within))
        return [VectorHit(chunk_id=id, similarity=max(-1.0, min(1.0, similarity))) for id, similarity in rows]

    async def fetch(self, space: str, *, ids: Sequence[str]) -> Mapping[str, Vectors]:
        statement = _on(space, "SELECT id, embedding FROM SPACE WHERE id = ANY($1)")
        return {row["id"]: row["embedding"] for row in await self._fetch(statement, list(ids))}

    async def delete(self, space: str, *, ids: Sequence[str]) -> None:
        await self._fetch(_on(space, "DELETE FROM SPACE WHERE id = ANY($1)"), list(ids))

    async def drop(self, space: str) -> None:
        async with self._connection() as connection:
            await connection.execute(f"DROP TABLE IF EXISTS {table(space)}")

    async def count(self, space: str) -> int:
        rows = await self._fetch(_on(space, "SELECT count(*) FROM SPACE"))
        return int(rows[0][0]) if rows else 0

    async def ids(self, space: str) -> list[str]:
        return [row[0] for row in await self._fetch(_on(space, "SELECT id FROM SPACE"))]

    async def ping(self) -> None:
        async with self._connection() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), ANSWER_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    async def _fetch(self, statement: str, *values: object) -> list[Any]:
        """The rows; none of a space that does not exist."""
        async with self._connection() as connection:
            try:
                rows: list[Any] = await connection.fetch(statement, *values)
            except asyncpg.UndefinedTableError:
                return []
            return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        async with _translated(), self._pool.acquire(timeout=ANSWER_SECONDS) as connection:
            yield connection


def _on(space: str, statement: str) -> str:
    """A statement on the table of a space, whose name is no text of anybody's."""
    return statement.replace("SPACE", table(space))


def table(space: str) -> str:
    """The table of a space. Its name is a digest: names are short in PostgreSQL, and a space is called anything."""
    return f"{SCHEMA}.space_{hashlib.sha256(space.encode()).hexdigest()[:32]}"


def _checked(url: str) -> str:
    """The URL as the driver wants it, if it names one server: of several, nobody has looked at the others."""
    address = urlsplit(url)
    if address.scheme.partition("+")[0] not in SCHEMES or not address.hostname or "," in address.netloc:
        raise ConfigurationError(
            "VECTOR_STORE=pgvector needs PGVECTOR_URL or DATABASE_URL as postgresql://USER:PASSWORD@HOST:5432/DATABASE."
        )
    return address._replace(scheme="postgresql").geturl()


async def _prepare(connection: asyncpg.Connection[Any]) -> None:
    """Make sure of the extension and of the schema, which several starts may do at once."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", CREATION_LOCK)
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except (asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError, asyncpg.InsufficientPrivilegeError):
            raise ConfigurationError(
                "VECTOR_STORE=pgvector needs the extension: install pgvector on the database's server, then let a "
                "superuser run CREATE EXTENSION vector in the database."
            ) from None
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        raise ConfigurationError(f"VECTOR_STORE=pgvector needs pgvector 0.8 or later; the database has {version}.")


async def _create(connection: asyncpg.Connection[Any], space: str, *, dimensions: int) -> None:
    """Make the table of a space, which several processes may do at once."""
    kind = "vector" if dimensions <= MOST_DIMENSIONS else "halfvec"
    place, schema = table(space), await _extension_schema(connection)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", CREATION_LOCK)
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {place} "
            f'(id text COLLATE "C" PRIMARY KEY, embedding {schema}.{kind}({dimensions}) NOT NULL)'
        )
        if dimensions <= MOST_HALF_DIMENSIONS:
            index = place.removeprefix(f"{SCHEMA}.") + "_graph"
            await connection.execute(
                f"CREATE INDEX IF NOT EXISTS {index} ON {place} "
                f"USING hnsw (embedding {schema}.{kind}_ip_ops) WITH ({GRAPH})"
            )


async def _extension_schema(connection: asyncpg.Connection[Any]) -> str:
    schema: str = await connection.fetchval(
        "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace "
        "WHERE extname = 'vector'"
    )
    return schema


async def _initialise(connection: asyncpg.Connection[Any]) -> None:
    """Teach a new connection how vectors are written, and how far it walks through the graph."""
    schema = await _extension_schema(connection)
    for kind, numbers in _NUMBERS.items():
        await connection.set_type_codec(
            kind,
            schema=schema.strip('"'),
            encoder=lambda vector, numbers=numbers: _encode(vector, numbers=numbers),
            decoder=lambda data, numbers=numbers: _decode(data, numbers=numbers),
            format="binary",
        )
    await connection.execute(f"SET search_path = public, {schema}; {WALK}")


async def _keep_settings(_connection: asyncpg.Connection[Any]) -> None:
    """What asyncpg would do between two uses of a connection would take the settings back."""


def _encode(vector: Vectors, *, numbers: str) -> bytes:
    return _HEADER.pack(len(vector), 0) + np.asarray(vector).astype(numbers).tobytes()


def _decode(data: bytes, *, numbers: str) -> Vectors:
    return np.frombuffer(data, dtype=numbers, offset=_HEADER.size).astype(np.float32)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Whatever the database or its driver raises is a store that is away; their texts may quote records."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError):
        raise VectorStoreUnavailableError(retry_after=RETRY_AFTER_SECONDS) from None
