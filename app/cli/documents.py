"""`python -m app ingest`, `search` and `documents`: the documents of a running service.

They speak HTTP to it, because it holds the data directory's lock: files can be brought in while it serves, from any
machine that may reach it, under its labels, limits and keys.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli import declassify
from app.cli.asking import over_http
from app.cli.client import RefusedError, ServiceClient, batches

if TYPE_CHECKING:
    from argparse import _SubParsersAction

FILES_AT_ONCE = 16
BYTES_AT_ONCE = 32 * 1024 * 1024
BAR_WIDTH = 30
EXCERPT_WIDTH = 300


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    ingest = commands.add_parser(
        "ingest",
        help="bring files into a running service",
        description="Bring files and folders into the service at SLUICE_URL. A file's path below the folder given is "
        "its id, so that the same command again changes nothing but what has changed, and goes on where it stopped.",
    )
    ingest.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    ingest.add_argument("--sensitivity", choices=("public", "internal", "confidential"))
    search = commands.add_parser("search", help="search a running service", description="Print the best passages.")
    search.add_argument("query")
    search.add_argument("--limit", type=int, default=5)
    listing = commands.add_parser("documents", help="list a running service's documents", description="List documents.")
    lowering = declassify.add_to(listing.add_subparsers(metavar="COMMAND"))
    for command, run in ((ingest, _ingest), (search, _search), (listing, _list)):
        command.add_argument("--collection", default=None if command is listing else "default")
        command.set_defaults(command=over_http(run))
    lowering.set_defaults(command=over_http(declassify.declassify))


async def _ingest(options: argparse.Namespace, client: ServiceClient) -> int:
    files = list(find_files(options.paths))
    outcomes: Counter[str] = Counter()
    failed: list[tuple[str, str]] = []
    for batch in batches(files, most=FILES_AT_ONCE, most_bytes=BYTES_AT_ONCE):
        for id, reason in await _upload(client, batch, options=options):
            outcomes["failed" if reason else "indexed"] += 1
            if reason:
                failed.append((id, reason))
        _show_progress(outcomes, total=len(files))
    print(f"\n{outcomes['indexed']} of {len(files)} files are indexed.")
    for reason, count in Counter(reason for _, reason in failed).most_common():
        print(f"{count:>7} {reason}: {', '.join(id for id, why in failed if why == reason)}")
    return 1 if failed else 0


async def _upload(
    client: ServiceClient, files: dict[str, Path], *, options: argparse.Namespace
) -> list[tuple[str, str | None]]:
    """Each file with the reason why it is not indexed, `None` if it is. A file that is refused costs no other."""
    try:
        documents = await client.upload(files, collection=options.collection, sensitivity=options.sensitivity)
    except RefusedError as error:
        if len(files) == 1:
            return [(id, error.code) for id in files]
        return [outcome for id, path in files.items() for outcome in await _upload(client, {id: path}, options=options)]
    return [(each["id"], each["error"]["code"] if each["error"] else None) for each in documents]


async def _search(options: argparse.Namespace, client: ServiceClient) -> int:
    found = await client.search(options.query, collection=options.collection, limit=options.limit)
    for place, passage in enumerate(found, start=1):
        text = " ".join(passage["content"].split())
        metadata = passage["metadata"]
        print(f"{place}. {metadata['title']}  [{metadata['document_id']}]  {passage['score']:.3f}")
        print(f"   {text[:EXCERPT_WIDTH]}{'...' if len(text) > EXCERPT_WIDTH else ''}")
    return 0


async def _list(options: argparse.Namespace, client: ServiceClient) -> int:
    async for document in client.documents(collection=options.collection):
        error = f"  {document['error']['code']}" if document["error"] else ""
        print(
            f"{document['status']:<9}{document['sensitivity']:<13}{document['chunks']:>6}  "
            f"{document['collection']}/{document['id']}{error}"
        )
    return 0


def find_files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Document ids and files: those of a folder by their path below it, hidden ones left out."""
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            yield from (
                (each.relative_to(path).as_posix(), each)
                for each in inside
                if not any(part.startswith(".") for part in each.relative_to(path).parts)
            )
        else:
            yield path.name, path


def _show_progress(outcomes: Counter[str], *, total: int) -> None:
    done = outcomes.total()
    filled = BAR_WIDTH * done // total
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    print(f"\r[{bar}] {done}/{total}, {outcomes['failed']} failed", end="", flush=True, file=sys.stderr)
