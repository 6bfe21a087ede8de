"""The service keeps to its own OpenAPI document: schemathesis asks it what the document allows, and what it forbids."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import Stage
from tests.clients.test_clients import run

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


async def fuzz(stage: Stage, *options: str, within: float) -> int:
    """Ask the service as the options say; how many requests that were. Fails with the report of what went wrong."""
    document = f"{stage.service.url}/openapi.json"
    key = f"Authorization: Bearer {stage.key}"
    command = (SCHEMATHESIS, "--config-file", CONFIGURATION, "run", document, "--header", key, "--warnings", "off")
    report = await run(stage, *command, *options, cwd=stage.service.directory, within=within)
    generated = re.search(r"(\d+) generated", report)
    assert generated is not None, report
    return int(generated[1])


async def test_some_hundred_requests_find_nothing_that_the_document_does_not_say(stage: Stage) -> None:
    asked = await fuzz(stage, "--phases", "examples,fuzzing,stateful", "--max-examples", "15", within=100)
    assert asked > 200


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_some_thousand_requests_find_nothing_either(stage: Stage) -> None:
    """Among them are the largest bodies that the document allows."""
    asked = await fuzz(stage, "--max-examples", "100", within=800)
    assert asked > 3000
