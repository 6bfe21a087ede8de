"""docs/no-leak.md says what the suite is."""

from __future__ import annotations

from tests.no_leak.page import PAGE, with_facts


def test_the_page_has_the_figures_and_the_mutants_of_the_suite() -> None:
    """`python -m tests.no_leak.page` writes them anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_facts(page)
