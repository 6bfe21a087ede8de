"""Clients of Redis by one URL: of one server, of those that sentinels watch over, or of a cluster; with TLS or without.

- `redis://USER:PASSWORD@HOST:6379/DB`, `unix:///PATH?db=DB`
- `redis+sentinel://USER:PASSWORD@HOST:26379,HOST:26379/SERVICE/DB`: the hosts are those of the sentinels
- `redis+cluster://USER:PASSWORD@HOST:6379,HOST:6379`: any nodes of the cluster

With `rediss` in the place of `redis` everybody is spoken to over TLS, the sentinels too. `OPTIONS` follow a `?`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from app.errors import ConfigurationError

RedisClient: TypeAlias = Redis | RedisCluster

# The client reports most trouble as its own errors; uvloop's closed transports raise RuntimeError through it, and a
# part of a cluster that no node has is a KeyError.
FAILURES: Final = (RedisError, RedisClusterException, OSError, RuntimeError, KeyError)

# A look whether Redis is back may take longer than a question: nobody waits, and it may have to connect, with TLS.
PROBE_SECONDS: Final = 1.0
# Sentinels, or nodes of a cluster, are asked one after the other: some may hang and a probe still comes to its end.
SECONDS_FOR_ONE_OF_SEVERAL: Final = 0.25

SERVER_PORT: Final = 6379
SENTINEL_PORT: Final = 26379

FILES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
TLS_OPTIONS: Final = FILES | {"ssl_cert_reqs", "ssl_check_hostname"}
SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
OPTIONS: Final = TLS_OPTIONS | SENTINEL_OPTIONS | {"db", "client_name", "protocol"}

FORMS: Final = (
    "REDIS_URL must be redis://HOST:PORT/DB, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB, "
    "redis+cluster://HOST:PORT,HOST:PORT or unix:///PATH; rediss in the place of redis asks for TLS."
)

Admits: TypeAlias = Callable[[str], bool]


def anywhere(address: str) -> bool:
    """Admits every address."""
    del address
    return True


def connect(url: str, *, admits: Admits = anywhere, patient: bool = False) -> RedisClient:
    """A client that retries nothing: a second try would cost more than the cache saves.

    No server is spoken to unless `admits` its address, whoever named it: sentinels and clusters say where others are.
    A `patient` client waits for an answer for ever, which a subscription does. Raises `ConfigurationError`.
    """
    place = _Place.parse(url)
    options: dict[str, Any] = {**place.options, "retry": Retry(NoBackoff(), 0), "socket_connect_timeout": PROBE_SECONDS}
    # Of several servers one may hang. Else whoever asks bounds the wait: the library's bound is a task a command.
    options["socket_timeout"] = PROBE_SECONDS if place.kind == "cluster" and not patient else None
    if place.kind == "cluster":
        return _connect_to_cluster(place, options, admits=admits)
    if place.kind == "sentinel":
        return _connect_by_sentinels(place, options, admits=admits)
    by_class = {UnixDomainSocketConnection: UnixDomainSocketConnection, SSLConnection: _VettedSSLConnection}
    chosen = by_class.get(options.pop("connection_class", Connection), _VettedConnection)
    if chosen is not UnixDomainSocketConnection:
        options["admits"] = admits
    return Redis.from_pool(ConnectionPool(connection_class=chosen, **options))


async def close(client: RedisClient) -> None:
    """Close the client, and what it asked where its server is."""
    await client.aclose()
    if isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


@asynccontextmanager
async def subscription(client: RedisClient) -> AsyncIterator[PubSub]:
    """What channels can be listened to by; a cluster's client must have found its nodes first."""
    if isinstance(client, RedisCluster):
        await client.initialize()
    async with client.pubsub() as opened:
        yield opened


async def used_memory(client: RedisClient) -> int:
    """The bytes that the servers use for what they hold; of a cluster, those that are written to."""
    if isinstance(client, RedisCluster):
        nodes = [await client.info("memory", target_nodes=node) for node in client.get_primaries()]
        return sum(int(each["used_memory"]) for each in nodes)
    return int((await client.info("memory"))["used_memory"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What a URL says: whom to ask, and the options of the client."""

    kind: str
    nodes: tuple[tuple[str, int], ...]
    service: str
    sentinel_options: dict[str, Any]
    options: dict[str, Any]

    @classmethod
    def parse(cls, url: str) -> _Place:
        try:
            return cls._parse(url)
        except ValueError:
            raise ConfigurationError(FORMS) from None

    @classmethod
    def _parse(cls, url: str) -> _Place:
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        if kind not in ("", "sentinel", "cluster"):
            raise ValueError
        named = {name: values[0] for name, values in parse_qs(parts.query).items()}
        _check(named, kind=kind, is_encrypted=scheme == "rediss")
        credentials, _, hosts = parts.netloc.rpartition("@")
        service, _, database = parts.path.strip("/").partition("/") if kind == "sentinel" else ("", "", parts.path)
        first = hosts.split(",")[0] if kind else hosts
        netloc = f"{credentials}@{first}" if credentials else first
        options: dict[str, Any] = dict(parse_url(urlunsplit((scheme, netloc, database, parts.query, ""))))
        default_port = SENTINEL_PORT if kind == "sentinel" else SERVER_PORT
        place = cls(
            kind=kind,
            nodes=tuple(_read_node(host, default_port=default_port) for host in hosts.split(",")) if kind else (),
            service=service,
            sentinel_options={
                name.removeprefix("sentinel_"): options.pop(name) for name in SENTINEL_OPTIONS & {*named}
            },
            options=options,
        )
        if (kind == "sentinel" and not service) or (kind == "cluster" and options.get("db")):
            raise ValueError
        return place


def _check(named: dict[str, str], *, kind: str, is_encrypted: bool) -> None:
    """Raise `ConfigurationError` for options that would be ignored, or fail only once there is traffic."""
    allowed = OPTIONS if kind == "sentinel" else OPTIONS - SENTINEL_OPTIONS
    unknown = sorted(set(named) - allowed)
    if unknown:
        raise ConfigurationError(f"REDIS_URL has an option that is not known: {unknown[0]}.")
    if TLS_OPTIONS & set(named) and not is_encrypted:
        raise ConfigurationError("REDIS_URL has options for TLS, which it asks for only when it begins with rediss.")
    for option in sorted(FILES & set(named)):
        if not Path(named[option]).is_file():
            raise ConfigurationError(f"REDIS_URL names no file that is there as its {option}.")


def _read_node(host: str, *, default_port: int) -> tuple[str, int]:
    node = urlsplit(f"//{host}")
    if not node.hostname:
        raise ValueError
    return node.hostname, node.port or default_port


def _connect_by_sentinels(place: _Place, options: dict[str, Any], *, admits: Admits) -> Redis:
    is_encrypted = options.pop("connection_class", Connection) is SSLConnection
    tls = {name: value for name, value in options.items() if name in TLS_OPTIONS}
    asking = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": SECONDS_FOR_ONE_OF_SEVERAL,
        "socket_connect_timeout": SECONDS_FOR_ONE_OF_SEVERAL,
        "ssl": is_encrypted,
        **tls,
    }
    for nowhere in ("host", "port"):
        options.pop(nowhere, None)
    sentinel = Sentinel(place.nodes, sentinel_kwargs=asking | place.sentinel_options)  # type: ignore[no-untyped-call]
    chosen = _VettedSentinelSSLConnection if is_encrypted else _VettedSentinelConnection
    client: Redis = sentinel.master_for(place.service, connection_class=chosen, admits=admits, **options)
    return client


def _connect_to_cluster(place: _Place, options: dict[str, Any], *, admits: Admits) -> RedisCluster:
    is_encrypted = options.pop("connection_class", Connection) is SSLConnection
    for nowhere in ("host", "port", "db"):
        options.pop(nowhere, None)
    options["socket_connect_timeout"] = SECONDS_FOR_ONE_OF_SEVERAL
    nodes = [ClusterNode(host, port) for host, port in place.nodes]
    client = RedisCluster(startup_nodes=nodes, ssl=is_encrypted, **options)
    # The class has no parameter for this. Nodes that the cluster names are made with it; those above stand in the URL.
    vetted = _VettedSSLConnection if is_encrypted else _VettedConnection
    client.connection_kwargs.update(connection_class=vetted, admits=admits)
    return client


class _Vetted(Connection):
    """A connection over which nothing is said before the address at its other end is admitted."""

    def __init__(self, *, admits: Admits, **options: Any) -> None:
        super().__init__(**options)
        self._admits = admits

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[no-untyped-call]  # the library leaves it so
        writer = self._writer
        if writer is not None and not self._admits(writer.get_extra_info("peername")[0]):
            writer.close()
            self._reader = self._writer = None
            raise RedisConnectionError("the server is at an address that is not ours")


class _VettedConnection(_Vetted):
    """To a server, without TLS."""


class _VettedSSLConnection(_Vetted, SSLConnection):
    """To a server, with TLS."""


class _VettedSentinelConnection(_Vetted, SentinelManagedConnection):
    """To the server that sentinels name, without TLS."""


class _VettedSentinelSSLConnection(_Vetted, SentinelManagedSSLConnection):
    """To the server that sentinels name, with TLS."""
