"""More than one Redis: a server that sentinels watch, with a replica to take its place, and a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import HOST, free_port
from tests.support.redis import RedisServer

SERVICE = "answers"
SENTINELS = 3
NODES = 3
SLOTS = 16_384
DOWN_AFTER = 300
PATIENCE = 20.0


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await true():
                return
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Watched:
    """A master and a replica under sentinels; `url` is how the sentinels are named."""

    master: RedisServer
    replica: RedisServer
    sentinels: tuple[RedisServer, ...]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    async def wait_failover(self) -> None:
        """Return once every sentinel names the replica."""

        async def named() -> bool:
            answers = [await each.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for each in self.sentinels]
            return all(int(port) == self.replica.port for _, port in answers)

        await until(named)


@asynccontextmanager
async def watched_redis(directory: Path, *, count: int = SENTINELS) -> AsyncIterator[Watched]:
    async with AsyncExitStack() as stack:
        quick = {"repl-diskless-sync-delay": "0"}
        master = await stack.enter_async_context(RedisServer(_made(directory / "master"), options=quick))
        follow = {"replicaof": f"{HOST} {master.port}"}
        replica = await stack.enter_async_context(RedisServer(_made(directory / "replica"), options=follow))
        await _wait_for(replica, "replication", "master_link_status", "up")
        sentinels = []
        for number in range(count):
            folder = _made(directory / f"sentinel{number}")
            file = folder / "sentinel.conf"
            file.write_text(_sentinel(master.port, quorum=count // 2 + 1))
            sentinels.append(await stack.enter_async_context(RedisServer(folder, mode=(str(file), "--sentinel"))))
        watched = Watched(master, replica, tuple(sentinels))
        for sentinel in sentinels:  # each must know the replica and the others, or none may act
            await _wait_for(sentinel, "sentinel", "master0", f"slaves=1,sentinels={count}")
        yield watched


def _sentinel(port: int, *, quorum: int) -> str:
    lines = (
        f"sentinel monitor {SERVICE} {HOST} {port} {quorum}",
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
        f"sentinel failover-timeout {SERVICE} 3000",
    )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    nodes: tuple[RedisServer, ...]

    @property
    def url(self) -> str:
        """Of two nodes only: the others are found."""
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes[:2])

    async def contents(self) -> list[bytes]:
        """What each node holds."""
        return [await node.contents() for node in self.nodes]


@asynccontextmanager
async def cluster(directory: Path, *, options: Mapping[str, str] | None = None) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(NODES):
            own = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "cluster-node-timeout": "2000"}
            node = RedisServer(_made(directory / f"node{number}"), options=own | dict(options or {}))
            await stack.enter_async_context(node)
            nodes.append((node, own["cluster-port"]))
        await _join(nodes)
        for node, _ in nodes:
            await _wait_for(node, "cluster", "cluster_known_nodes", str(NODES))
            await _wait_for(node, "cluster", "cluster_state", "ok")
        yield Cluster(tuple(node for node, _ in nodes))


async def _join(nodes: list[tuple[RedisServer, str]]) -> None:
    bounds = [SLOTS * number // len(nodes) for number in range(len(nodes) + 1)]
    for number, (node, _) in enumerate(nodes):
        await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        await node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
    for node, bus in nodes[1:]:
        await nodes[0][0].ask("CLUSTER", "MEET", HOST, node.port, bus)


async def _wait_for(server: RedisServer, section: str, name: str, value: str) -> None:
    """Until the server says so of itself."""
    question = ("CLUSTER INFO",) if section == "cluster" else ("INFO", section)

    async def says() -> bool:
        return _holds(await server.ask(*question), name=name, value=value)

    await until(says)


def _holds(answer: Mapping[str, object], *, name: str, value: str) -> bool:
    """Whether a line of the answer, which the client has read into a dictionary, says what is waited for."""
    said = answer.get(name)
    if isinstance(said, dict):
        return all(
            str(said.get(part)) == wanted for part, _, wanted in (each.partition("=") for each in value.split(","))
        )
    return str(said) == value


def _made(path: Path) -> Path:
    path.mkdir()
    return path
