"""The examples for OpenAI's API, run as their readers run them."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.process import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


async def run(gateway: Gateway, *command: str) -> str:
    """What the example prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], "SLUICE_URL": gateway.service.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize(
    "command", [(sys.executable, str(EXAMPLES / "openai_client.py")), (str(EXAMPLES / "openai_curl.sh"),)]
)
async def test_an_example_gets_its_answers(gateway: Gateway, command: tuple[str, ...]) -> None:
    output = await run(gateway, *command)
    assert "Water boils at 100 degrees." in output
    assert CLOUD in output
    assert LOCAL in output
    assert "384 dimensions" in output or '"embedding":"' in output
