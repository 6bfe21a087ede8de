"""Five thousand requests while model servers fail at random: `/usage` adds up to what those servers have counted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.failover.bench import Bench, Protocol, open_bench
from tests.failover.ledger import Ledger
from tests.failover.test_soak import check, check_books, run

REQUESTS = 5000


async def tokens_of(bench: Bench) -> tuple[Counter[str], Counter[str]]:
    """The tokens in `/usage` by model: as their servers reported them, and as estimated."""
    async with bench.service.client.get("/usage", params={"by": "model"}) as response:
        rows = (await response.json())["usage"]
    estimated = Counter({row["model"]: row["estimated_tokens"] for row in rows})
    return Counter({row["model"]: row["total_tokens"] for row in rows}) - estimated, +estimated


async def until_nothing_is_under_way(bench: Bench) -> None:
    async with asyncio.timeout(10):
        while True:
            async with bench.service.client.get("/metrics") as response:
                if "sluice_requests_in_flight 0.0" in await response.text():
                    return


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_usage_is_what_the_model_servers_have_counted(tmp_path: Path) -> None:
    """To the token for every call whose report was read, within 5 % in sum for those that were cut."""
    rng = random.Random(20_261_121)
    async with open_bench(tmp_path, protocol=Protocol.OPENAI) as bench:
        ledgers = Ledger(rng, provider="openai"), Ledger(rng, provider="openrouter")
        for upstream, ledger in zip((bench.first, bench.spare), ledgers, strict=True):
            upstream.script, upstream.observer = ledger.script, ledger
        answers = await run(bench, range(REQUESTS), rng=rng)
        await until_nothing_is_under_way(bench)
        reported, estimated = await tokens_of(bench)
    check(answers)
    print(f"{reported.total()} tokens reported, {estimated.total()} estimated")  # noqa: T201  (the figures)
    accounts = [account for ledger in ledgers for account in ledger.accounts]
    check_books(accounts, answers=answers, reported=reported, estimated=estimated)
