"""The matrix: a sample of it always, all of it with the slow tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.no_leak.assembly import open_stage
from tests.no_leak.cells import Cell, every_cell, sample
from tests.no_leak.configurations import CONFIGURATIONS
from tests.no_leak.judging import judge
from tests.support.redis import EXECUTABLE, RedisServer

SAMPLED = 20

# litellm's imports and clean-up warn.
pytestmark = pytest.mark.filterwarnings("ignore")


@asynccontextmanager
async def redis_for(name: str, directory: Path) -> AsyncIterator[RedisServer | None]:
    if not CONFIGURATIONS[name].redis:
        yield None
        return
    if EXECUTABLE is None:
        pytest.skip("redis-server is not installed")
    async with RedisServer(directory) as server:
        yield server


async def check(name: str, cells: Sequence[Cell], *, directory: Path) -> None:
    """Nothing leaks in any of the cells, and every twin arrives."""
    chosen = CONFIGURATIONS[name]
    async with redis_for(name, directory) as redis, open_stage(directory, chosen, redis=redis) as stage:
        verdicts = await judge(cells, stage=stage, configuration=chosen)
    assert len(verdicts) == len(cells)
    failed = [str(verdict) for verdict in verdicts if not verdict.passed]
    assert not failed, f"{len(failed)} of {len(verdicts)} cells:\n" + "\n".join(failed)


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_nothing_leaks_in_a_sample_of_the_cells_and_every_twin_arrives(name: str, tmp_path: Path) -> None:
    await check(name, sample(name, count=SAMPLED), directory=tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_nothing_leaks_in_any_cell_and_every_twin_arrives(name: str, tmp_path: Path) -> None:
    await check(name, every_cell(name), directory=tmp_path)
