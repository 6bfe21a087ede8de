"""Writes the table of metrics into docs/metrics.md, part of `make readme`."""

from __future__ import annotations

from pathlib import Path

from app.utils.instruments import (
    INSTRUMENTS,
    CounterSpec,
    GaugeSpec,
    HistogramSpec,
    Instrument,
    ReadingSpec,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- end of metrics -->"
KINDS = {CounterSpec: "counter", GaugeSpec: "gauge", ReadingSpec: "gauge", HistogramSpec: "histogram"}


def table() -> str:
    """Every metric with its kind, labels and meaning, as Markdown."""
    head = "| metric | kind | labels | meaning |\n|---|---|---|---|\n"
    return head + "".join(map(_row, INSTRUMENTS))


def replace_table(page: str) -> str:
    """The page with the table as it should be; raises `ValueError` if it has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("docs/metrics.md has no place for the table")
    return f"{before}{begin}{table()}{end}{after}"


def _row(instrument: Instrument) -> str:
    labels = ", ".join(f"`{label}`" for label in instrument.labels)
    return f"| `{instrument.name}` | {KINDS[type(instrument)]} | {labels} | {instrument.meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
