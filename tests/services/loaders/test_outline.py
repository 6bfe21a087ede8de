from app.services.loaders import Section
from app.services.loaders.outline import MAX_HEADING, Outline


def test_a_heading_ends_those_of_its_own_level_and_below() -> None:
    """The path of a section is what a table of contents would show above it."""
    outline = Outline()
    for level, name in [(1, "A"), (2, "B"), (3, "C"), (2, "D")]:
        outline.add_heading(name, level=level)
        outline.add_paragraph(f"text {name}")
    assert [section.heading for section in outline.sections()] == [("A",), ("A", "B"), ("A", "B", "C"), ("A", "D")]


def test_headings_without_text_begin_the_next_section() -> None:
    """No section consists of a heading alone, as long as text follows."""
    outline = Outline()
    outline.add_heading("A", level=1)
    outline.add_heading("B", level=2)
    outline.add_paragraph("text")
    assert outline.sections() == (Section(text="A\n\nB\n\ntext", heading=("A", "B")),)


def test_a_page_starts_a_section_under_the_same_heading() -> None:
    """Text does not lose its chapter at a page break, and gets the number of its own page."""
    outline = Outline()
    outline.start_page(1)
    outline.add_heading("A", level=1)
    outline.add_paragraph("one")
    outline.start_page(2)
    outline.add_paragraph("two")
    assert outline.sections() == (
        Section(text="A\n\none", page=1, heading=("A",)),
        Section(text="two", page=2, heading=("A",)),
    )


def test_a_heading_stays_a_line() -> None:
    """A whole paragraph marked as a heading does not stand in front of everything below it, but is not lost."""
    outline = Outline()
    outline.add_heading("long " * 100, level=1)
    outline.add_paragraph("text")
    (section,) = outline.sections()
    assert len(section.heading[0]) == MAX_HEADING
    assert section.text == "long " * 100 + "\n\ntext"
