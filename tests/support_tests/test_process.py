from __future__ import annotations

import signal
from pathlib import Path

import aiohttp
import pytest

from tests.support.process import ServiceProcess

TINY = ("-m", "tests.support_tests.tiny_service")


async def test_process_is_ready_in_its_own_directory_and_without_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DEVELOPER", "here")
    async with ServiceProcess(tmp_path, command=TINY) as service, service.client.get("/ready") as response:
        assert response.status == 200
        assert f"serving {tmp_path}/data None".encode() in service.logs


async def test_killed_process_is_gone_and_comes_back_on_its_port(tmp_path: Path) -> None:
    async with ServiceProcess(tmp_path, command=TINY) as service:
        first = service.pid
        await service.kill()
        with pytest.raises(aiohttp.ClientConnectionError):
            await service.client.get("/ready")
        await service.start()
        assert service.pid != first
        assert service.logs.count(b"serving") == 2


async def test_terminated_process_tells_how_it_ended(tmp_path: Path) -> None:
    async with ServiceProcess(tmp_path, command=TINY) as service:
        assert await service.terminate() == -signal.SIGTERM


async def test_process_that_ends_at_start_shows_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 1:\nno such model"):
        async with ServiceProcess(tmp_path, command=TINY, environment={"FAIL": "1"}):
            pytest.fail("it cannot be ready")
