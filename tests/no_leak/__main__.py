"""`python -m tests.no_leak`: the suite against a deployment, with scripted models in place of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from app.errors import ConfigurationError
from tests.no_leak.cells import BASE, Cell, every_cell, sample
from tests.no_leak.deployment import CAN, Deployment, pointed, spawned
from tests.no_leak.judging import Verdict, judge

DESCRIPTION = """
Send canaries through a gateway and look for them at its cloud models, in its answers to errors, its metrics and, where
it is started here, its log. Exit status: 0 nothing leaked, 1 something did, 2 the suite could show nothing.
"""
CELLS = 300
CLOUD_PORT, LOCAL_PORT = 9101, 9102


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite and print its table."""
    options = _parser().parse_args(arguments)
    cells = every_cell(BASE) if options.every else sample(BASE, count=options.cells, seed=options.seed, can=CAN)
    with tempfile.TemporaryDirectory() as folder:
        try:
            verdicts = asyncio.run(_run(cells, deployment=_chosen(options, folder=Path(folder))))
        except (ConfigurationError, RuntimeError, TimeoutError):
            return 2
    print(table(verdicts))  # noqa: T201  # what the command is for
    if any(verdict.leaks for verdict in verdicts):
        return 1
    return 2 if any(verdict.faults for verdict in verdicts) else 0


def table(verdicts: Sequence[Verdict]) -> str:
    """Cells, leaks and other faults by surface, by origin and by failure; then each cell that did not pass."""
    sides: Sequence[tuple[str, Callable[[Cell], str]]] = (
        ("surface", lambda cell: cell.surface),
        ("origin of the label", lambda cell: cell.origin),
        ("failure", lambda cell: cell.failure),
    )
    lines = []
    for title, side in sides:
        lines += [f"{title:<32}{'cells':>8}{'leaks':>8}{'other faults':>16}"]
        lines += [f"{name:<32}{cells:>8}{leaks:>8}{faults:>16}" for name, cells, leaks, faults in _rows(verdicts, side)]
        lines.append("")
    lines += [str(verdict) for verdict in verdicts if not verdict.passed]
    leaked = sum(bool(verdict.leaks) for verdict in verdicts)
    return "\n".join([*lines, f"{len(verdicts)} cells, {leaked} with a leak."])


def _rows(verdicts: Sequence[Verdict], side: Callable[[Cell], str]) -> list[tuple[str, int, int, int]]:
    cells = Counter(side(verdict.cell) for verdict in verdicts)
    leaks = Counter(side(verdict.cell) for verdict in verdicts if verdict.leaks)
    faults = Counter(side(verdict.cell) for verdict in verdicts if verdict.faults)
    return [(name, count, leaks[name], faults[name]) for name, count in cells.items()]


async def _run(cells: Sequence[Cell], *, deployment: AbstractAsyncContextManager[Deployment]) -> list[Verdict]:
    async with deployment as there:
        return await judge(cells, stage=there.stage, configuration=there.configuration)


def _chosen(options: argparse.Namespace, *, folder: Path) -> AbstractAsyncContextManager[Deployment]:
    if options.spawn:
        return spawned(folder)
    return pointed(
        options.url,
        key=options.key,
        above=options.above,
        cloud_port=options.cloud_port,
        local_port=options.local_port,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.no_leak", description=DESCRIPTION)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--spawn", action="store_true", help="start a gateway with the settings, policy and catalog here"
    )
    which.add_argument("--url", help="a running gateway whose models are to be the scripted ones")
    parser.add_argument("--key", help="the bearer key for --url")
    parser.add_argument("--above", choices=("internal", "confidential"), default="confidential",
                        help="the lowest label above the CLOUD_CLEARANCE of --url")  # fmt: skip
    parser.add_argument("--cloud-port", type=int, default=CLOUD_PORT, help="where the scripted OpenAI listens")
    parser.add_argument("--local-port", type=int, default=LOCAL_PORT, help="where the scripted Ollama listens")
    parser.add_argument("--cells", type=int, default=CELLS, help="how many cells to draw")
    parser.add_argument("--seed", type=int, default=0, help="which cells to draw")
    parser.add_argument("--every", action="store_true", help="run every cell")
    return parser


if __name__ == "__main__":
    sys.exit(main())
