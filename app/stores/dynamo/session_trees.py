"""A session's turns as a tree in memory: its paths, branches and siblings, and the reading of what turns say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.models import Label
from app.protocols import Outline
from app.records import ROOT, Session, Summary, TitleSource, Turn
from app.stores.dynamo.codec import Item
from app.stores.dynamo.session_items import Header, read_turn, text_keys
from app.stores.dynamo.table import Table

PINNED_ROLES: Final = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Tree:
    """The turns that were there when the header was read, by number, without what they say."""

    header: Header
    nodes: dict[int, Item]

    @classmethod
    async def read(cls, table: Table, header: Header) -> Tree:
        """Turns never change: of those that came after the header, and after its mark, nothing is seen."""
        found = [item async for item in table.query(header.partition, first="node#", last="node$")]
        return cls(header, {item["number"]: item for item in found if item["number"] <= header.last})

    def number_of(self, message: str) -> int | None:
        """The number of the turn with this id."""
        return next((number for number, item in self.nodes.items() if item["id"] == message), None)

    def path(self, end: int) -> list[Item]:
        """The turns from the first to number `end`."""
        found = []
        while end:
            found.append(self.nodes[end])
            end = found[-1]["parent"]
        return found[::-1]

    def newest_below(self, number: int) -> int:
        """The last turn that was added to the branches that this turn began; the turn itself if there is none."""
        below = {number}
        for each in sorted(self.nodes):  # parents come before their children
            if self.nodes[each]["parent"] in below:
                below.add(each)
        return max(below)

    def parent_id(self, item: Item) -> str:
        return str(self.nodes[item["parent"]]["id"]) if item["parent"] else ROOT

    def siblings(self) -> dict[int, tuple[str, ...]]:
        """The ids of the turns that follow each turn, oldest first."""
        found: dict[int, list[str]] = defaultdict(list)
        for number in sorted(self.nodes):
            found[self.nodes[number]["parent"]].append(self.nodes[number]["id"])
        return {parent: tuple(ids) for parent, ids in found.items()}


async def read_session(table: Table, tree: Tree, *, end: int, tokens: int) -> Session:
    """The session with its path up to turn `end`."""
    header, path = tree.header, tree.path(end)
    summary = await _read_summary(table, header, path=path)
    covered = tree.number_of(summary.through) if summary else None
    chosen, left_out = _choose(path, end=end, tokens=tokens, covered=covered or 0)
    contents = await read_contents(table, chosen)
    return Session(
        id=header.id,
        tenant=header.tenant,
        user_id=header.user_id,
        mark=header.mark,
        turns=tuple(read_turn(item, content) for item, content in zip(chosen, contents, strict=True)),
        incarnation=header.incarnation,
        model_id=header.model_id,
        title_source=None if header.title_source is None else TitleSource(header.title_source),
        summary=summary,
        left_out=left_out,
    )


def outline(path: Iterable[Item]) -> list[Outline]:
    return [Outline(id=item["id"], role=item["role"], digest=item["digest"]) for item in path]


async def read_page(table: Table, tree: Tree, *, end: int, limit: int) -> tuple[list[Turn], str | None]:
    """The newest turns of a path, in their order, and the id of the first if others come before it."""
    page = tree.path(end)[-limit:]
    siblings = tree.siblings()
    contents = await read_contents(table, page)
    turns = [
        read_turn(item, content, parent_id=tree.parent_id(item), siblings=siblings[item["parent"]])
        for item, content in zip(page, contents, strict=True)
    ]
    return turns, page[0]["id"] if page and page[0]["parent"] else None


async def read_every_turn(table: Table, tree: Tree) -> list[Turn]:
    """The turns of all branches, in the order in which they were stored."""
    nodes = [tree.nodes[number] for number in sorted(tree.nodes)]
    contents = await read_contents(table, nodes)
    return [
        read_turn(item, content, parent_id=tree.parent_id(item)) for item, content in zip(nodes, contents, strict=True)
    ]


async def read_contents(table: Table, nodes: Sequence[Item]) -> list[bytes]:
    """What each of the turns says, as it is stored."""
    found = await table.get_many(key for item in nodes for key in text_keys(item))
    return [b"".join(found[key]["content"] for key in text_keys(item)) for item in nodes]


def _choose(path: Sequence[Item], *, end: int, tokens: int, covered: int) -> tuple[list[Item], int]:
    """The turns of the path that are read, and how many are left out that no summary covers."""
    total, left_out = 0, 0
    chosen: list[Item] = []
    for item in reversed(path):
        if item["role"] in PINNED_ROLES:
            chosen.append(item)
            continue
        total += item["tokens"]
        if item["number"] <= covered:
            continue
        if item["number"] == end or not tokens or total <= tokens:
            chosen.append(item)
        else:
            left_out += 1
    return chosen[::-1], left_out


async def _read_summary(table: Table, header: Header, *, path: Sequence[Item]) -> Summary | None:
    """The summary that covers most of the path; one that came after the header, and after its mark, is not seen."""
    ids = {item["number"]: item["id"] for item in path}
    async for item in table.query(header.partition, first="summary#", last="summary$", descending=True):
        label = Label(item["label"])
        if item["number"] in ids and label <= header.mark:
            return Summary(text=item["text"], label=label, through=ids[item["number"]])
    return None
