"""The policy file: followed while the service runs, tried by a command, refused at start when it is broken."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from app.config import Settings
from app.errors import ConfigurationError
from app.wiring import open_services
from tests.gateway.conftest import Gateway, cloud_settings
from tests.support.canaries import invent_word
from tests.support.process import REPOSITORY
from tests.support.service import isolated_settings, running
from tests.support.upstream import ScriptedUpstream

PATIENCE = 10


def write_policy(path: Path, *, word: str) -> None:
    """A policy under which the word is confidential."""
    path.write_text(
        "[complexity]\nmoderate = 0.4\ncomplex = 0.6\n"
        f'[[detection.dictionaries]]\nname = "customers"\nwords = ["{word}"]\nlabel = "confidential"\n',
        "utf-8",
    )


def break_policy(path: Path) -> None:
    path.write_text("[detection]\nlables = {}\n", "utf-8")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    write_policy(path, word="nobody")
    return path


@pytest.fixture
async def following(
    tmp_path: Path, policy: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, policy_file=policy, **settings) as service:
        yield Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await check():  # noqa: ASYNC110  # the file is looked at every second
            await asyncio.sleep(0.02)


async def test_a_changed_file_is_in_force_a_moment_later_and_cached_answers_of_the_old_one_are_not(
    following: Gateway, policy: Path, canary: str
) -> None:
    message = f"Who is {canary}?"
    first = await following.chat(message, documents=False)
    assert (first["sensitivity"], first["cached"]) == ("public", False)
    write_policy(policy, word=canary)

    async def is_confidential() -> bool:
        answer = await following.chat(message, documents=False)
        return bool(answer["sensitivity"] == "confidential")

    await until(is_confidential)
    assert following.local.completions


async def test_sighup_reloads_at_once(following: Gateway, policy: Path, canary: str) -> None:
    write_policy(policy, word=canary)
    os.kill(os.getpid(), signal.SIGHUP)

    async def is_confidential() -> bool:
        status, answer = await following.post("/route", {"message": f"Who is {canary}?"})
        return bool(status == 200 and answer["sensitivity"] == "confidential")

    await until(is_confidential)


async def test_a_broken_file_leaves_the_policy_as_it_is_and_says_so(
    following: Gateway, policy: Path, canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_policy(policy, word=canary)
    policies = following.service.app.state.services.enforcement.policies
    await policies.reload()
    break_policy(policy)
    await policies.reload()
    assert "policy not reloaded, the earlier one stays in force" in [record.message for record in caplog.records]
    assert (await following.chat(f"Who is {canary}?"))["sensitivity"] == "confidential"


@pytest.mark.parametrize(
    "text", ["[detection]\nlabels = 5\n", "[detection", "", "[complexity]\nmoderate = 2\ncomplex = 3"]
)
async def test_a_start_with_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, "utf-8")
    settings: Settings = isolated_settings(tmp_path, policy_file=path, vector_store="memory")
    with pytest.raises(ConfigurationError, match=r"policy\.toml|thresholds"):
        async with open_services(settings):
            pass


async def run(*arguments: str, text: str | None = None, policy: Path = REPOSITORY / "policy.toml") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "policy", "test", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "POLICY_FILE": str(policy)},
    )
    output, _ = await process.communicate(text.encode() if text is not None else None)
    return process.returncode or 0, output.decode()


async def test_the_command_says_what_is_found_where_and_never_the_value(policy: Path) -> None:
    status, output = await run("Card 4111 1111 1111 1111 please")
    assert (status, output.split()) == (
        0,
        ["confidential", "confidential", "payment_card", "characters", "5", "to", "23"],
    )
    status, output = await run("-", text="The weather is fine.")
    assert (status, output) == (0, "public\n")
    word = invent_word(random.Random(5))
    write_policy(policy, word=word)
    status, output = await run(f"Is it {word}?", policy=policy)
    assert (status, output.split()) == (
        0,
        f"confidential confidential customers characters 6 to {5 + len(word)}".split(),
    )
    assert word not in output


async def test_the_command_refuses_a_broken_file(policy: Path) -> None:
    break_policy(policy)
    status, output = await run("Hi", policy=policy)
    assert status == 2
    assert "`lables`" in output
