"""`python -m app usage`: what was used and what it cost, as a table or as CSV."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from app.cli.asking import over_http
from app.cli.client import ServiceClient

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PAGE = 1000
KINDS = frozenset({"cached_tokens", "cache_write_tokens", "image_tokens", "audio_tokens", "reasoning_tokens"})


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    usage = commands.add_parser(
        "usage",
        help="show tokens, calls and cost",
        description="Speak to the service at SLUICE_URL with the key in SLUICE_API_KEY; to the one of HOST and PORT "
        "without both, with ADMIN_KEY.",
    )
    usage.add_argument("--from", dest="first", metavar="DAY", help="a day in UTC; the first of the month")
    usage.add_argument("--to", dest="last", metavar="DAY", help="a day in UTC, included; today")
    usage.add_argument("--by", default="day,model", help="any of day, tenant, key, user, model, label, price")
    usage.add_argument("--csv", action="store_true", help="write CSV")
    usage.set_defaults(command=over_http(_run))


async def _run(options: argparse.Namespace, client: ServiceClient) -> int:
    rows = [row async for row in _rows(options, client)]
    (_write_csv if options.csv else _write_table)(rows)
    return 0


async def _rows(options: argparse.Namespace, client: ServiceClient) -> AsyncIterator[Mapping[str, Any]]:
    asked = {"by": options.by, "from": options.first, "to": options.last, "limit": PAGE}
    parameters = {name: value for name, value in asked.items() if value is not None}
    after: int | None = 0
    while after is not None:
        page = await client.ask("GET", "usage", params={**parameters, "after": after})
        for row in page["usage"]:
            yield row
        after = page["next"]


def _write_csv(rows: list[Mapping[str, Any]]) -> None:
    if rows:
        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_table(rows: list[Mapping[str, Any]]) -> None:
    """Columns as wide as what is in them."""
    if not rows:
        print("Nothing was used.")
        return
    # Kinds of tokens of which there are none would make the lines too long to read.
    names = [name for name in rows[0] if name not in KINDS or any(row[name] for row in rows)]
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
