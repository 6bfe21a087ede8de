"""The command against a gateway that it starts, and against one that it is pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.no_leak.__main__ import main, table
from tests.no_leak.cells import BASE, Cell, sample
from tests.no_leak.deployment import CAN, pointed
from tests.no_leak.judging import Verdict, judge
from tests.support.ports import HOST, free_port
from tests.support.service import running

CELL = Cell(BASE, "none", "chat", "message", "stated")


def verdicts() -> Sequence[Verdict]:
    return [
        Verdict(cell=CELL),
        Verdict(cell=CELL, leaks=("the canary as plain in OpenAI",)),
        Verdict(cell=CELL, faults=("?",)),
    ]


def test_the_table_counts_cells_and_leaks_and_names_those_that_did_not_pass() -> None:
    lines = table(verdicts()).splitlines()
    assert lines[1].split() == ["chat", "3", "1", "1"]
    assert lines[-3:] == [f"{CELL}: the canary as plain in OpenAI", f"{CELL}: ?", "3 cells, 1 with a leak."]


@pytest.mark.slow
async def test_a_running_gateway_is_searched_from_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the settings that the command prints, and looks for its models every 15 seconds."""
    cloud, local = free_port(), free_port()
    settings: dict[str, Any] = {
        "openai_base_url": f"http://{HOST}:{cloud}/v1",
        "openai_api_key": "any",
        "vector_store": "memory",
    }
    cells = sample(BASE, count=12, can=CAN)
    async with (
        running(tmp_path, **settings, ollama_base_url=f"http://{HOST}:{local}") as service,
        pointed(service.url, key=None, above="confidential", cloud_port=cloud, local_port=local) as there,
    ):
        found = await judge(cells, stage=there.stage, configuration=there.configuration)
    assert f"OLLAMA_BASE_URL=http://{HOST}:{local}" in capsys.readouterr().out
    assert len(found) == len(cells)
    assert [str(verdict) for verdict in found if not verdict.passed] == []


@pytest.mark.slow
def test_a_gateway_is_started_with_the_settings_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--spawn", "--cells", "24"]) == 0
    assert "24 cells, 0 with a leak." in capsys.readouterr().out
