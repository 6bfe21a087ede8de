"""The gateway itself, as tests start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.process import ServiceProcess
from tests.support.service import isolated_settings, running


async def test_gateway_runs_in_this_loop_and_says_that_it_is_ready(tmp_path: Path) -> None:
    async with running(tmp_path, vector_store="memory") as service, service.client.get("/ready") as response:
        assert response.status == 200


def test_settings_of_whoever_runs_the_tests_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://elsewhere/v1\n")
    monkeypatch.setenv("ADMIN_KEY", "k" * 32)
    settings = isolated_settings(tmp_path, log_level="ERROR")
    assert settings.openai_base_url is None
    assert settings.admin_key is None
    assert settings.log_level == "ERROR"


async def test_gateway_runs_as_a_process_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    async with ServiceProcess(tmp_path) as service:
        await service.restart()
        async with service.client.get("/ready") as response:
            assert response.status == 200
