import pytest

from app.services.loaders.wrapping import join_wrapped_lines


@pytest.mark.parametrize(
    "lines",
    [
        "SKU-8847 A-12 450\nSKU-9201 B-07 780\nSKU-4563 D-22 156",
        "Shopping list\n- apples\n- pears and plums\n- bread",
        "It ended here.\nAnother sentence starts at once.",
    ],
)
def test_rows_items_and_sentences_keep_their_lines(lines: str) -> None:
    """Lines that mean something are not joined."""
    assert join_wrapped_lines(lines) == lines


def test_a_broken_sentence_is_joined_by_a_blank() -> None:
    """A full line that goes on in the next becomes one with it."""
    text = "The committee met in the large hall and Doctor\nSmith reported on what had been found since the last"
    assert join_wrapped_lines(text) == text.replace("\n", " ")


def test_chinese_is_joined_without_a_blank() -> None:
    """Scripts that put nothing between words get nothing put between lines."""
    assert join_wrapped_lines("人人生而自由在尊严和权利上\n一律平等他们赋有理性和良心") == (
        "人人生而自由在尊严和权利上一律平等他们赋有理性和良心"
    )
