"""Measures gateways side by side: `python -m benchmarks.speed [CASE ...] [--rounds 5] [--gateways sluice,litellm]`.

Every gateway of a case is up at once, in front of an upstream of its own, and they take turns: one round is a few
seconds of load on each. CPU is that of the gateway's process tree by request; the medians of the rounds are printed
with their least and most. Figures of one run compare; those of two runs do not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed.cases import CASES, Case
from benchmarks.speed.documents import put_in
from benchmarks.speed.gateways import (
    GATEWAYS,
    LITELLM,
    PORTKEY,
    Gateway,
    Surroundings,
    running,
    running_redis,
    running_upstream,
)
from benchmarks.speed.load import Load, Outcome, drive
from benchmarks.speed.processes import read_tree

WARM_UP_SECONDS = 3.0
INSTALLED = {"sluice": True, "litellm": LITELLM.exists(), "portkey": PORTKEY.exists(), "relay": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One gateway's few seconds: CPU milliseconds a request, and what wrk saw."""

    cpu: float
    memory: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Contestant:
    gateway: Gateway
    pid: int
    load: Load


async def measure(case: Case, *, names: Sequence[str], rounds: int, seconds: float) -> dict[str, list[Round]]:
    """Rounds by gateway, in the order in which they were run."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contestants = [await _enter(stack, case, name=name, directory=directory) for name in names]
        for contestant in contestants:
            await _run(contestant, seconds=WARM_UP_SECONDS, directory=directory)
        measured: dict[str, list[Round]] = {contestant.gateway.name: [] for contestant in contestants}
        for _ in range(rounds):
            for contestant in contestants:
                measured[contestant.gateway.name].append(await _run(contestant, seconds=seconds, directory=directory))
        return measured


async def _enter(stack: AsyncExitStack, case: Case, *, name: str, directory: Path) -> Contestant:
    own = directory / name
    own.mkdir()
    upstream = await stack.enter_async_context(running_upstream(chunks=case.chunks, chunks_per_second=0))
    redis = await stack.enter_async_context(running_redis(own)) if case.redis else None
    gateway = GATEWAYS[name](Surroundings(upstream=upstream, directory=own, redis=redis, workers=case.workers))
    pid = await stack.enter_async_context(running(gateway, directory=own))
    if case.documents:
        await put_in(gateway, count=case.documents)
    load = Load(
        path=case.path,
        body=case.request(model=gateway.model),
        headers=gateway.headers,
        connections=case.connections,
    )
    return Contestant(gateway, pid, load)


async def _run(contestant: Contestant, *, seconds: float, directory: Path) -> Round:
    before = read_tree(contestant.pid)
    outcome = await drive(
        contestant.load,
        port=contestant.gateway.port,
        seconds=seconds,
        run=time.time_ns() % 10**12,
        directory=directory,
    )
    after = read_tree(contestant.pid)
    return Round(cpu=(after.cpu - before.cpu) / max(outcome.requests, 1) * 1e3, memory=after.memory, outcome=outcome)


def report(case: Case, measured: dict[str, list[Round]]) -> None:
    print(f"\n{case.name}: {case.describes}; {case.connections} at once")
    print("| gateway | CPU ms a request | of the first | requests/s | p50 ms | p99 ms | memory MB | failed |")
    print("|---|---|---|---|---|---|---|---|")
    first = None
    for name, rounds in measured.items():
        cpu = [one.cpu for one in rounds]
        first = first or median(cpu)
        outcomes = [one.outcome for one in rounds]
        print(
            f"| {name} | {median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f}) | {median(cpu) / first:.2f}"
            f" | {median(one.requests / one.seconds for one in outcomes):,.0f}"
            f" | {median(one.p50 for one in outcomes):.2f} | {median(one.p99 for one in outcomes):.2f}"
            f" | {rounds[-1].memory / 1e6:.0f} | {sum(one.errors for one in outcomes)} |"
        )
    sys.stdout.flush()


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), choices=[*CASES, []], metavar="CASE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--gateways", default=",".join(GATEWAYS), help="names, separated by commas")
    return parser.parse_args()


async def _main() -> None:
    options = _read_options()
    wanted = options.gateways.split(",")
    for missing in (name for name in wanted if not INSTALLED[name]):
        print(f"{missing} is not installed here (`make peers` installs it): left out")
    for case in (CASES[name] for name in options.cases):
        names = [name for name in wanted if name in case.gateways and INSTALLED[name]]
        if names:
            report(case, await measure(case, names=names, rounds=options.rounds, seconds=options.seconds))


if __name__ == "__main__":
    asyncio.run(_main())
