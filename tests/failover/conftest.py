from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.failover.bench import Bench, Mode, Outcome, Protocol, open_bench
from tests.failover.cases import cases
from tests.support.behaviours import Status

Outcomes = Mapping[tuple[Protocol, str, Mode], Outcome]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What came of every case in every protocol and mode: one gateway for each of these, side by side."""
    # The import takes longer than the time-outs here allow for a first token.
    await asyncio.to_thread(importlib.import_module, "app.providers.litellm_adapter")
    async with AsyncExitStack() as stack:
        # One after the other: the migrations of a start are not made for two at once in one process.
        benches = {
            (protocol, mode): await stack.enter_async_context(
                open_bench(tmp_path_factory.mktemp("bench"), protocol=protocol)
            )
            for protocol in Protocol
            for mode in Mode
        }
        for (_, mode), bench in benches.items():
            # Libraries import some of their parts at the first answer and at the first error, which holds up everybody.
            await bench.ask(Status(500), mode=mode)
        found = await asyncio.gather(
            *(_run(bench, protocol=protocol, mode=mode) for (protocol, mode), bench in benches.items())
        )
    return {key: outcome for part in found for key, outcome in part.items()}


async def _run(bench: Bench, *, protocol: Protocol, mode: Mode) -> Outcomes:
    return {
        (protocol, name, mode): await bench.ask(case.script, mode=mode)
        for name, case in cases().items()
        if protocol in case.protocols
    }
