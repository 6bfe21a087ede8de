"""`python -m app documents declassify`: lower a document's label, after a question."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.cli.asking import add_yes, agreed
from app.cli.client import ServiceClient

if TYPE_CHECKING:
    from argparse import _SubParsersAction

LABELS = ("public", "internal", "confidential")


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The command's parser, which lacks what runs it."""
    parser = commands.add_parser(
        "declassify",
        help="lower a document's label",
        description="Lower the label of a document, whatever is found in it. SLUICE_API_KEY must be the ADMIN_KEY.",
    )
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--sensitivity", choices=LABELS, required=True, help="the label it is to have")
    parser.add_argument("--collection", default="default")
    parser.add_argument("--reason", help="a reference for the audit record, such as a ticket's number")
    add_yes(parser)
    return parser


async def declassify(options: argparse.Namespace, client: ServiceClient, *, ask: Callable[[str], str] = input) -> int:
    """Show what there is, ask, lower it and wait until it is indexed."""
    document = await client.document(options.id, collection=options.collection)
    title = f" ({document['title']})" if document["title"] else ""
    print(f"{document['collection']}/{document['id']}{title} is {document['sensitivity']}.")
    if not agreed(f"It becomes {options.sensitivity}, whatever is found in it.", options=options, ask=ask):
        return 1
    settled = await client.declassify(
        options.id, collection=options.collection, sensitivity=options.sensitivity, reason=options.reason
    )
    print(f"It is {settled['status']} as {settled['sensitivity']}.")
    return 0 if settled["status"] == "indexed" else 1
