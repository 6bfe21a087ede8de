"""The figures and lists of docs/no-leak.md, taken from the suite itself; `python -m tests.no_leak.page` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.no_leak.cells import every_cell
from tests.no_leak.configurations import CONFIGURATIONS
from tests.no_leak.failures import FAILURES
from tests.no_leak.mutants import MUTANTS
from tests.no_leak.origins import ORIGINS
from tests.no_leak.surfaces import SURFACES
from tests.support.process import REPOSITORY

PAGE = REPOSITORY / "docs" / "no-leak.md"
BEGIN, END = "<!-- what follows is written by python -m tests.no_leak.page -->\n", "<!-- end of what is written -->\n"


def with_facts(page: str) -> str:
    """The page with its facts as they are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    facts = "\n".join(_lines())
    return f"{before}{BEGIN}{facts}\n{END}{after}"


def _lines() -> Iterator[str]:
    positions = dict.fromkeys(name for surface in SURFACES.values() for name in surface.positions)
    cells = sum(len(every_cell(name)) for name in CONFIGURATIONS)
    yield f"\n{cells:,} cells, each with a public twin. The sides of the matrix:\n"
    yield from _side("Surfaces", SURFACES)
    yield from _side("Positions", positions)
    yield from _side("Origins of the label", ORIGINS)
    yield from _side("Failures", FAILURES)
    yield from _side("Configurations", CONFIGURATIONS)
    yield f"\n{len(MUTANTS)} mutants, each killed by the test beside it:\n"
    yield "| mutant | rule | killed by |"
    yield "|---|---|---|"
    for mutant in MUTANTS:
        path, _, name = mutant.killer.partition("::")
        yield f"| {mutant.name} | {mutant.rule} | [`{name}`](../{path}) |"


def _side(title: str, names: Iterable[str]) -> Iterator[str]:
    listed = list(names)
    yield f"- {title} ({len(listed)}): {', '.join(listed)}."


def write(page: Path = PAGE) -> None:
    page.write_text(with_facts(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
