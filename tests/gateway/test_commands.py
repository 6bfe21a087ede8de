"""The commands that speak to a running service."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path

from tests.support.process import REPOSITORY
from tests.support.service import Service, running


async def run(service: Service, *arguments: str, key: str = "") -> tuple[int, str]:
    """A command's exit status and what it prints; nobody answers its questions."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *arguments,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "SLUICE_URL": service.url, "SLUICE_API_KEY": key},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_folder_is_ingested_searched_and_listed(alone: Service, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    (folder / "sky").mkdir(parents=True)
    (folder / "sky" / "moon.txt").write_text("The moon orbits the Earth every 27 days.", "utf-8")
    (folder / "bread.md").write_text("# Bread\n\nSourdough rises with wild yeast.", "utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that a PDF holds")
    (folder / "empty.txt").write_bytes(b"")
    (folder / ".hidden").write_text("Not for others.", "utf-8")
    for _ in range(2):  # the same again changes nothing
        status, printed = await run(alone, "ingest", str(folder))
        assert status == 1
        assert "2 of 4 files are indexed." in printed
        assert "1 corrupt: broken.pdf" in printed
        assert "1 empty_document: empty.txt" in printed
    status, printed = await run(alone, "search", "how long does the moon take", "--limit", "1")
    assert (status, "[sky/moon.txt]" in printed, "27 days" in printed) == (0, True, True)
    status, printed = await run(alone, "documents")
    assert status == 0
    assert {line.split("/", 1)[1] for line in printed.splitlines()} == {
        "sky/moon.txt",
        "bread.md",
        "broken.pdf  corrupt",
    }


async def test_a_service_that_is_not_there_is_named(alone: Service) -> None:
    absent = Service(client=alone.client, url="http://127.0.0.1:9", app=alone.app, settings=alone.settings)
    assert (await run(absent, "search", "anything"))[0] == 2


async def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """What ends a key is done only where somebody says so."""
    admin_key = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=admin_key) as service:

        async def works(key: str) -> bool:
            async with service.client.get("/models", headers={"authorization": f"Bearer {key}"}) as response:
                return response.status == 200

        options = ("--tenant", "acme", "--scope", "chat", "--clearance", "internal", "--semantic-cache")
        status, printed = await run(service, "keys", "create", "search team", *options, key=admin_key)
        key = printed.strip()
        assert (status, await works(key)) == (0, True)
        status, printed = await run(service, "keys", "list", key=admin_key)
        id = printed.split()[0]
        assert "works   acme            internal     chat  search team" in printed
        assert key not in printed
        assert (await run(service, "keys", "revoke", id, key=admin_key))[0] == 1
        assert await works(key)
        assert (await run(service, "keys", "revoke", id, "--yes", key=admin_key))[0] == 0
        assert not await works(key)


async def test_what_a_key_may_use_and_spend_is_set_changed_and_lifted(tmp_path: Path) -> None:
    """What is not named stays as it is; `none` lifts a limit."""
    admin_key = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=admin_key) as service:
        options = ("--budget-day", "2.5", "--budget-month", "40", "--tokens-per-minute", "9000")
        await run(service, "keys", "create", "search team", *options, key=admin_key)
        _, printed = await run(service, "keys", "list", key=admin_key)
        id = printed.split()[0]
        changes = ("--budget-day", "none", "--requests-per-minute", "10")
        status, printed = await run(service, "keys", "limit", id, *changes, key=admin_key)
        assert (status, [line.split()[-1] for line in printed.splitlines()]) == (
            0,
            ["10", "9000", "limit", "limit", "40"],
        )
        _, unchanged = await run(service, "keys", "limit", id, key=admin_key)
        assert unchanged == printed
        assert (await run(service, "keys", "limit", id, "--budget-month", "-1", key=admin_key))[0] == 1


async def test_what_was_used_is_shown_as_a_table_or_as_csv(alone: Service) -> None:
    assert await run(alone, "usage") == (0, "Nothing was used.\n")
    async with alone.client.post("/chat", json={"message": "Hello"}) as response:
        model = (await response.json())["model_used"]
    status, printed = await run(alone, "usage", "--by", "label,model")
    head, row = printed.splitlines()
    assert (status, head.split()[:3], row.split()[:3]) == (0, ["label", "model", "requests"], ["public", model, "1"])
    status, printed = await run(alone, "usage", "--by", "model", "--csv")
    assert (status, printed.splitlines()[1].split(",")[:2]) == (0, [model, "1"])
    assert (await run(alone, "usage", "--by", "colour"))[0] == 1
