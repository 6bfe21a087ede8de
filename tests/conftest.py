from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from tests.support.canaries import invent_word
from tests.support.dialects import AnthropicDialect, OllamaDialect, OpenAIDialect
from tests.support.dynamo import PYTHON as MOTO
from tests.support.dynamo import DynamoServer, credentials, dynamo_server
from tests.support.postgres import PROGRAMS, PostgresServer, postgres_server
from tests.support.redis import EXECUTABLE, RedisServer
from tests.support.upstream import ScriptedUpstream


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test with the marker `no_cover` measures time.

    pytest-cov pauses for it, but in a process of pytest-xdist's there is a second tracer, which then goes on.
    """
    trace = sys.gettrace()
    if item.get_closest_marker("no_cover") is not None:
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)


@pytest.fixture
async def openai_upstream() -> AsyncIterator[ScriptedUpstream]:
    """An OpenAI-compatible server that answers well until its `script` is set to something else."""
    async with ScriptedUpstream(OpenAIDialect()) as upstream:
        yield upstream


@pytest.fixture
async def ollama_upstream() -> AsyncIterator[ScriptedUpstream]:
    """An Ollama server that answers well until its `script` is set to something else."""
    async with ScriptedUpstream(OllamaDialect()) as upstream:
        yield upstream


@pytest.fixture
async def anthropic_upstream() -> AsyncIterator[ScriptedUpstream]:
    """An Anthropic server that answers well until its `script` is set to something else."""
    async with ScriptedUpstream(AnthropicDialect()) as upstream:
        yield upstream


@pytest.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A real, empty Redis of the test's own."""
    if EXECUTABLE is None:
        pytest.skip("redis-server is not installed")
    async with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL for all tests together; each makes its own database in it or empties one."""
    if PROGRAMS is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def dynamo_api() -> Iterator[DynamoServer]:
    """DynamoDB's API over HTTP for all tests together; each uses a table of its own."""
    if not MOTO.exists():
        pytest.skip("`make clients` sets up the stand-in for AWS")
    with dynamo_server() as server:
        yield server


@pytest.fixture
def dynamo(dynamo_api: DynamoServer, monkeypatch: pytest.MonkeyPatch) -> DynamoServer:
    """The server, with credentials in the environment, where every AWS tool looks for them."""
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    return dynamo_api


@pytest.fixture
def canary(request: pytest.FixtureRequest) -> str:
    """An invented word, the same on every run of the same test and another in every other test."""
    return invent_word(random.Random(request.node.nodeid))
