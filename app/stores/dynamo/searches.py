"""What retrieval and upkeep ask of the record: live versions only, with the label they have now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.models import JSONValue, Label, Passage
from app.protocols import LiveVersion
from app.records import Chunk
from app.stores.dynamo import filters
from app.stores.dynamo.codec import Item
from app.stores.dynamo.contents import Contents
from app.stores.dynamo.document_items import (
    COLLECTIONS,
    StoredDocument,
    StoredVersion,
    collection_key,
    documents_partition,
    find_documents,
    read_document,
)
from app.stores.dynamo.table import Table
from app.stores.dynamo.writes import Add, Key
from app.stores.filter_grammar import parse


@dataclass(frozen=True, slots=True)
class Searches:
    """Reads documents for searches; which spaces they use is counted with their collection."""

    table: Table
    contents: Contents

    async def spaces(self, *, tenant: str, collection: str, clearance: Label) -> list[str]:
        """The spaces that hold live versions of the collection at or below the clearance, by name."""
        counted = await self.table.get(collection_key(tenant, collection)) or {}
        found = {space for label, space, count in _live_counts(counted) if count > 0 and label <= clearance}
        return sorted(found)

    async def matching_chunks(
        self, *, tenant: str, collection: str, clearance: Label, filter: Mapping[str, Mapping[str, JSONValue]]
    ) -> list[str]:
        """Ids of the chunks of live versions that satisfy the filter: every document of the collection is read."""
        tree = parse(filter)
        live = [
            version
            for _, version in await self._live(tenant, collection)
            if version.label <= clearance and filters.satisfies(filters.take_apart(version.value.metadata), tree)
        ]
        live.sort(key=lambda version: version.number)
        return [chunk_id(version.id, ordinal) for version in live for ordinal in range(version.value.chunks)]

    async def passages(self, chunk_ids: Mapping[str, float], *, tenant: str, clearance: Label) -> list[Passage]:
        """The live passages among the ids, in the order given."""
        wanted = dict(_parse(chunk_ids))
        documents = await find_documents(self.table, {version for version, _ in wanted.values()})
        readable = {
            id: (document, version)
            for id, document in documents.items()
            if document.key.tenant == tenant and (version := document.live()) is not None
            if version.id == id and version.label <= clearance
        }
        chunks = await self.contents.find_chunks([place for place in wanted.values() if place[0] in readable])
        return [
            _passage(readable[place[0]][0], chunks[place], version=readable[place[0]][1], score=chunk_ids[id])
            for id, place in wanted.items()
            if place in chunks
        ]

    async def revision(self, *, tenant: str, collection: str) -> int:
        """How often what a search of the collection can find has changed."""
        counted = await self.table.get(collection_key(tenant, collection))
        return 0 if counted is None else int(counted["found"])

    async def live_versions(self) -> list[LiveVersion]:
        """Every version that readers see, oldest first."""
        found: list[tuple[int, LiveVersion]] = []
        async for counted in self.table.query(COLLECTIONS):
            for document, version in await self._live(counted["tenant"], counted["collection"]):
                live = LiveVersion(
                    id=version.id,
                    tenant=document.key.tenant,
                    collection=document.key.collection,
                    label=version.label,
                    chunks=version.value.chunks,
                    space=version.space,
                )
                found.append((version.number, live))
        return [live for _, live in sorted(found, key=lambda pair: pair[0])]

    async def vector_owners(self, versions: Sequence[str], *, space: str) -> set[str]:
        """Those of the versions that have a job, or are live in the space."""
        documents = await find_documents(self.table, versions)
        return {id for id, document in documents.items() if _owns(document, id, space=space)}

    async def unused_spaces(self) -> list[str]:
        """Spaces that no version names, by name."""
        once: set[str] = set()
        held: set[str] = set()
        async for counted in self.table.query(COLLECTIONS):
            for name, count in counted.items():
                kind, _, space = name.partition("#")
                if kind == "once" and count:
                    once.add(space)
                elif kind == "held" and count > 0:
                    held.add(space)
        return sorted(once - held)

    async def forget_space(self, space: str) -> None:
        async for counted in self.table.query(COLLECTIONS):
            if counted.get(f"once#{space}"):
                await self.table.commit(Add(Key.of(counted), {}, {f"once#{space}": 0}))

    async def _live(self, tenant: str, collection: str) -> list[tuple[StoredDocument, StoredVersion]]:
        stored = self.table.query(documents_partition(tenant, collection))
        documents = [read_document(item) async for item in stored]
        pairs = ((document, document.live()) for document in documents)
        return [(document, version) for document, version in pairs if version is not None]


def chunk_id(version: str, ordinal: int) -> str:
    """What the chunk is called in the vector index."""
    return f"{version}:{ordinal}"


def _live_counts(counted: Item) -> Iterator[tuple[Label, str, int]]:
    for name, count in counted.items():
        kind, _, rest = name.partition("#")
        if kind == "live":
            label, _, space = rest.partition("#")
            yield Label(int(label)), space, count


def _parse(chunk_ids: Iterable[str]) -> Iterator[tuple[str, tuple[str, int]]]:
    for id in chunk_ids:
        version, _, ordinal = id.rpartition(":")
        if ordinal.isascii() and ordinal.isdecimal():
            yield id, (version, int(ordinal))


def _owns(document: StoredDocument, id: str, *, space: str) -> bool:
    version = document.version(id)
    live_here = version is not None and version.live and version.space == space
    return live_here or any(job.version == id for job in document.jobs)


def _passage(document: StoredDocument, chunk: Chunk, *, version: StoredVersion, score: float) -> Passage:
    value = version.value
    return Passage(
        id=chunk_id(value.id, chunk.ordinal),
        document_id=document.key.id,
        collection=document.key.collection,
        version=value.id,
        title=value.title or value.filename or document.key.id,
        content=chunk.text,
        score=score,
        label=value.label,
        metadata=value.metadata,
        start=chunk.start,
        pages=((chunk.start, chunk.page),),
    )
