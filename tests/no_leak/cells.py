"""The matrix: every combination that makes sense, and a seeded sample that touches each value of each side."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import cycle

from tests.no_leak.configurations import CONFIGURATIONS
from tests.no_leak.failures import FAILURES
from tests.no_leak.origins import ORIGINS
from tests.no_leak.surfaces import SURFACES

BASE = "cloud preferred everywhere"
ELSEWHERE = 2
TURNS = 4
RARE = frozenset({"Redis", "embedder"})
SCOPES = frozenset({"collection", "document filter"})
IMAGES = frozenset({"image URL", "image data"})


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One combination, by the names of its sides."""

    configuration: str
    failure: str
    surface: str
    position: str
    origin: str

    def __str__(self) -> str:
        return " | ".join(getattr(self, side.name) for side in fields(self))


def every_cell(configuration: str) -> list[Cell]:
    """The cells of a configuration.

    Where nothing fails and the cloud is merely preferred, every position meets every origin. Elsewhere each surface
    meets each failure in `ELSEWHERE` cells, whose positions and origins take turns.
    """
    cells = []
    for surface in SURFACES:
        fitting = list(_fitting(configuration, surface=surface))
        random.Random(f"{configuration} {surface}").shuffle(fitting)
        turns = cycle(fitting)
        for failure in failures_of(configuration) if fitting else ():
            if SURFACES[surface].kind == "store" and FAILURES[failure].needs == "database":
                continue  # what cannot be stored is sent nowhere, and its twin neither
            whole = configuration == BASE and failure == "none"
            pairs = fitting if whole else [next(turns) for _ in range(ELSEWHERE)]
            cells += [Cell(configuration, failure, surface, position, origin) for position, origin in pairs]
    return cells


def sample(configuration: str, *, count: int, seed: int = 0, can: frozenset[str] | None = None) -> list[Cell]:
    """Of a configuration so many cells, drawn so that each surface, position and origin occurs early.

    `can` keeps to those that a deployment can play which lets the suite do no more. Of the failures that any
    deployment can have every fourth is in it: the configurations take turns, because each failure costs a wait.
    """
    turn = list(CONFIGURATIONS).index(configuration) % TURNS
    failures = list(failures_of(configuration))
    chosen = {"none", *failures[turn::TURNS], *(name for name in failures if FAILURES[name].needs in RARE)}
    cells = [
        cell for cell in every_cell(configuration) if cell.failure in chosen and (can is None or needs(cell) <= can)
    ]
    random.Random(f"{configuration} {seed}").shuffle(cells)
    seen: set[tuple[str, str]] = set()
    rank = {}
    for cell in cells:
        sides = {(side.name, getattr(cell, side.name)) for side in fields(cell)}
        rank[cell] = -len(sides - seen)
        seen |= sides
    return sorted(sorted(cells, key=rank.__getitem__)[:count])


def needs(cell: Cell) -> set[str]:
    """What the suite must be able to do to a deployment to play the cell there."""
    wanted = (ORIGINS[cell.origin].needs, FAILURES[cell.failure].needs)
    return {need for need in wanted if need is not None}


def failures_of(configuration: str) -> Iterator[str]:
    """The failures that can befall a deployment; those that it remembers come at the end."""
    chosen = CONFIGURATIONS[configuration]
    has = {
        "Redis": chosen.redis,
        "embedder": chosen.embedder is not None,
        "database": True,
        "local server": not chosen.remote,
        None: True,
    }
    for name, failure in FAILURES.items():
        if has[failure.needs]:
            yield name


def _fitting(configuration: str, *, surface: str) -> Iterator[tuple[str, str]]:
    """The pairs of a position and an origin that make sense on the surface."""
    for position in SURFACES[surface].positions:
        for origin in ORIGINS:
            if _possible(configuration, surface=surface, origin=origin) and _fits(
                configuration, surface=surface, position=position, origin=origin
            ):
                yield position, origin


def _possible(configuration: str, *, surface: str, origin: str) -> bool:
    chosen, way, cause = CONFIGURATIONS[configuration], SURFACES[surface], ORIGINS[origin]
    if way.kind not in cause.kinds:
        return False
    if cause.needs == "document default" and "document default" not in chosen.can:
        return False
    if origin == "session" and not way.sessions:
        return False
    # Without an embedding model elsewhere nothing of these can leave and no twin would show anything.
    return way.kind not in ("embed", "search", "store") or chosen.embedder is not None


def _fits(configuration: str, *, surface: str, position: str, origin: str) -> bool:
    place, cause, chosen = SURFACES[surface].positions[position], ORIGINS[origin], CONFIGURATIONS[configuration]
    misfits = (
        # No twin could be sent: there are no words for an image there, or images count as internal.
        position in IMAGES and (chosen.lossy or chosen.above == "internal"),
        chosen.embedder is not None and not _fits_far_embedder(position, origin=origin),
        bool(cause.own) and position not in cause.own,
        # The earlier turn goes out under its own label, so that label must be what keeps it from the cloud.
        position == "history" and origin not in ("session", "detected"),
        # These say which documents are used, which an origin in a document does itself.
        position in SCOPES and origin.startswith("document"),
        cause.detected and not (place.read and place.sent),
        # A file's name is its title.
        position == "title of a passage" and origin == "document form",
    )
    return not any(misfits)


def _fits_far_embedder(position: str, *, origin: str) -> bool:
    """A question is looked up under its own label, before a document can raise it; titles are not embedded."""
    return origin.startswith("document") == (position == "passage") and position != "title of a passage"


def by_failure(cells: Sequence[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    """The cells in batches that share a failure, in the order of the failures."""
    for failure in FAILURES:
        batch = [cell for cell in cells if cell.failure == failure]
        if batch:
            yield failure, batch
