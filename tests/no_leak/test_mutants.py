"""Each mutant finds its place in the source and is killed: a sample of them always, all with the slow tests."""

from __future__ import annotations

import ast
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.no_leak.mutants import ALWAYS, MUTANTS, Mutant, survives
from tests.support.process import REPOSITORY

SAMPLED = 4
AT_ONCE = 2


def drawn() -> list[Mutant]:
    """Those that must always be seen to die, and a seeded few of the others."""
    others = [mutant for mutant in MUTANTS if mutant.name not in ALWAYS]
    return [mutant for mutant in MUTANTS if mutant.name in ALWAYS] + random.Random(0).sample(others, SAMPLED)


def kill(mutants: list[Mutant], *, directory: Path) -> dict[str, str]:
    """The mutants that survived, with what their killer printed."""
    places = [directory / str(number) for number in range(len(mutants))]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = list(threads.map(_kill_in, mutants, places))
    return {mutant.name: outcome for mutant, outcome in zip(mutants, outcomes, strict=True) if outcome is not None}


def _kill_in(mutant: Mutant, place: Path) -> str | None:
    return survives(mutant, workspace=place)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source_and_has_a_killer(mutant: Mutant) -> None:
    """A refactoring that moves what a mutant replaces, or renames the test that kills it, is noticed at once."""
    assert (REPOSITORY / mutant.file).read_text(encoding="utf-8").count(mutant.before) == 1
    path, _, name = mutant.killer.partition("::")
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_names_of_mutants_are_distinct() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_sample_of_the_mutants_is_killed(tmp_path: Path) -> None:
    assert kill(drawn(), directory=tmp_path) == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_mutant_is_killed(tmp_path: Path) -> None:
    assert kill(list(MUTANTS), directory=tmp_path) == {}
