"""Real clients, each in an environment of its own, run their suites against the gateway as it is served."""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.clients.conftest import Stage
from tests.support.process import REPOSITORY

CLIENTS = Path(__file__).parent
NODE = CLIENTS / "node"
EXAMPLES = REPOSITORY / "examples"
SUITE_SECONDS = 100.0


async def run(stage: Stage, *command: str | Path, cwd: Path = REPOSITORY, within: float = SUITE_SECONDS) -> str:
    """Run a program against the gateway; its output. Fails with the output if the program does."""
    environment = stage.environment | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=environment, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(within):
            output = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output
    return output


def python_suite(client: str, *, python: Path) -> Sequence[str | Path]:
    folder = CLIENTS / client
    options = ("-c", CLIENTS / "suite.ini", "--rootdir", folder, "--confcutdir", folder)
    return (python, "-m", "pytest", *options, folder / "suite.py")


def client_python(client: str) -> Path:
    python = CLIENTS / ".environments" / client / "bin" / "python"
    if not python.exists():
        pytest.skip("the environment is missing: make clients")
    return python


def client_node() -> Path:
    """The Node that comes with the clients, or the machine's own where it has none for this machine."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    pinned = NODE / "node_modules" / f"node-linux-{machine}" / "bin" / "node"
    node = pinned if pinned.exists() else shutil.which("node")
    if node is None or not (NODE / "node_modules" / "openai").exists():
        pytest.skip("the environment is missing: make clients, which needs npm")
    return Path(node)


async def test_the_openai_client_of_the_development_environment_passes_its_suite(stage: Stage) -> None:
    output = await run(stage, *python_suite("openai_python", python=Path(sys.executable)))
    assert re.search(r"\d+ passed", output)


@pytest.mark.clients
@pytest.mark.parametrize("client", ["openai_python", "langchain", "llama_index", "pydantic_ai"])
async def test_a_python_client_passes_its_suite(stage: Stage, client: str) -> None:
    output = await run(stage, *python_suite(client, python=client_python(client)))
    assert re.search(r"\d+ passed", output)


@pytest.mark.clients
@pytest.mark.parametrize("suite", ["openai.test.js", "vercel.test.js"])
async def test_a_node_client_passes_its_suite(stage: Stage, suite: str) -> None:
    node = client_node()
    output = await run(stage, node, "--test", "--test-reporter=tap", suite, cwd=NODE)
    assert re.search(r"(?m)^# pass [1-9]", output)


PYTHON_EXAMPLES = {
    "langchain": "langchain_chat.py",
    "llama_index": "llamaindex_query.py",
    "pydantic_ai": "pydantic_ai_agent.py",
}


@pytest.mark.clients
@pytest.mark.parametrize(("client", "example"), PYTHON_EXAMPLES.items())
async def test_a_python_example_runs_as_its_readers_run_it(stage: Stage, client: str, example: str) -> None:
    assert await run(stage, client_python(client), EXAMPLES / example, cwd=stage.service.directory)


@pytest.mark.clients
@pytest.mark.parametrize("example", ["openai_client.mjs", "vercel_ai_sdk.mjs"])
async def test_a_node_example_runs_as_its_readers_run_it(stage: Stage, example: str, tmp_path: Path) -> None:
    """Node looks for packages beside a program, so the example is put beside them."""
    node = client_node()
    folder = tmp_path / "example"
    folder.mkdir()
    (folder / "node_modules").symlink_to(NODE / "node_modules")
    shutil.copy(EXAMPLES / example, folder)
    assert "== " in await run(stage, node, folder / example, cwd=folder)
