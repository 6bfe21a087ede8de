import pytest

from app.services.loaders.nesting import MAX_DEPTH, flatten


def test_what_a_browser_would_nest_is_left_as_it_is() -> None:
    """Elements that end each other do not nest, however many of them are left open."""
    source = "<ul>" + "<li>item" * 5_000 + "</ul>" + "<p>text<br>" * 5_000 + "<div>" * MAX_DEPTH
    assert flatten(source) == source


def test_deeper_elements_become_line_breaks_and_what_follows_them_is_left() -> None:
    """Both tags of an element go; its text stays, on a line of its own."""
    flat = flatten("<div>" * (MAX_DEPTH + 1) + "deep" + "</div>" * (MAX_DEPTH + 1) + "<div>after</div>")
    assert flat == "<div>" * MAX_DEPTH + "<br>deep<br>" + "</div>" * MAX_DEPTH + "<div>after</div>"


def test_ends_that_nothing_began_do_not_count() -> None:
    source = "</div>" * 5_000 + "<div>" * MAX_DEPTH
    assert flatten(source) == source


@pytest.mark.parametrize("source", ["<" * 1_000_000, "<a " * 300_000, "<div" + " a" * 500_000, "<" + "x" * 1_000_000])
def test_what_is_no_tag_takes_linear_time(source: str) -> None:
    assert flatten(source) == source


def test_a_giant_tag_loses_its_attributes() -> None:
    assert flatten(f'<p class="{"x" * 20_000}">text</p>') == "<p>text</p>"
