"""`python -m app doctor` and `python -m app rebuild`: the indexes, compared with the record and made anew from it."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from app.config import Settings
from app.services.doctor import Diagnosis

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from app.wiring import Services

EXPLANATIONS = {
    "misplaced": "documents whose vectors another embedding model made, or that lie under another label",
    "vectorless": "documents of which the vector index does not hold all passages",
    "wordless": "documents of which the lexical index does not hold all passages",
    "orphans": "vectors of no document",
    "mute": "vector spaces that do not find what they hold",
    "unused": "vector spaces without documents",
}


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="compare the indexes with the record",
        description="Compare the indexes with the record while no service runs; the exit status is 1 if they differ.",
    )
    doctor.add_argument("--repair", action="store_true", help="and bring them in step")
    doctor.set_defaults(command=lambda options: asyncio.run(examine(repair=options.repair)))
    rebuild = commands.add_parser(
        "rebuild",
        help="make the indexes anew",
        description="Empty the indexes and fill them from the record. The service must not run.",
    )
    rebuild.set_defaults(command=lambda _: asyncio.run(rebuild_indexes()))


async def examine(*, repair: bool) -> int:
    """Print what differs; repair it and look again if asked to."""
    from app.wiring import open_services  # noqa: PLC0415  (`--help` need not wait for the whole service to be imported)

    async with open_services(Settings(), at_rest=True) as services:
        await services.ingestion.work_off()
        diagnosis = await services.doctor.examine()
        _describe(diagnosis)
        if diagnosis.healthy or not repair:
            return 0 if diagnosis.healthy else 1
        await services.doctor.repair(diagnosis)
        return await _finish(services)


async def rebuild_indexes() -> int:
    """Make both indexes anew and look at the result."""
    from app.wiring import open_services  # noqa: PLC0415  (as above)

    async with open_services(Settings(), at_rest=True) as services:
        print(f"Indexing {await services.doctor.rebuild()} documents")
        return await _finish(services)


async def _finish(services: Services) -> int:
    await services.ingestion.work_off()
    left = await services.doctor.examine()
    if not left.healthy:  # space that has become free by the repair itself
        await services.doctor.repair(left)
        await services.ingestion.work_off()
        left = await services.doctor.examine()
    _describe(left)
    return 0 if left.healthy else 1


def _describe(diagnosis: Diagnosis) -> None:
    if diagnosis.healthy:
        print("The indexes agree with the record.")
    for kind, count in diagnosis.counts.items():
        if count:
            print(f"{count:>7} {EXPLANATIONS[kind]}")
