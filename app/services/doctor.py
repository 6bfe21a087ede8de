"""Whether the indexes agree with the record, which they can be made anew from, and bringing them there."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.errors import UnavailableError
from app.protocols import DocumentStore, EmbeddingModel, LiveVersion, VectorIndex
from app.services.vector_store import Spaces

logger = logging.getLogger(__name__)

# A vector that was asked for itself: float32 leaves the cosine this near to 1.
SAME = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Where indexes and record differ.

    `misplaced` are live versions whose vectors another embedding model made, or that lie under another label;
    `vectorless` and `wordless` those of which the vector index or the lexical index does not hold all chunks. `orphans`
    are ids of no chunk, by space. `mute` spaces hold vectors that a search does not find, `unused` ones nothing live.
    """

    misplaced: tuple[str, ...] = ()
    vectorless: tuple[str, ...] = ()
    wordless: tuple[str, ...] = ()
    orphans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mute: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind of difference."""
        return {
            "misplaced": len(self.misplaced),
            "vectorless": len(self.vectorless),
            "wordless": len(self.wordless),
            "orphans": sum(map(len, self.orphans.values())),
            "mute": len(self.mute),
            "unused": len(self.unused),
        }

    @property
    def healthy(self) -> bool:
        return not any(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What one space lacks and has too much."""

    vectorless: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    mute: bool = False


class Doctor:
    """Compares the indexes with the record and repairs them from it; documents stay readable meanwhile."""

    def __init__(self, *, documents: DocumentStore, index: VectorIndex, embedder: EmbeddingModel) -> None:
        self._documents = documents
        self._index = index
        self._spaces = Spaces(embedder)

    async def examine(self) -> Diagnosis:
        """Compare counts, let a vector of each space find itself, and look closer where something is off."""
        live = [version for version in await self._documents.live_versions() if version.chunks]
        placed = [version for version in live if version.space == self._space(version)]
        findings = {space: await self._examine(space, members) for space, members in _by_space(placed).items()}
        return Diagnosis(
            misplaced=tuple(version.id for version in live if version.space != self._space(version)),
            vectorless=tuple(id for finding in findings.values() for id in finding.vectorless),
            wordless=tuple(await self._documents.versions_without_words()),
            orphans={space: finding.orphans for space, finding in findings.items() if finding.orphans},
            mute=tuple(space for space, finding in findings.items() if finding.mute),
            unused=tuple(await self._documents.unused_spaces()),
        )

    async def repair(self, diagnosis: Diagnosis) -> None:
        """Take out what does not belong, put words back, and queue the versions whose vectors must be made anew."""
        for space in diagnosis.mute:
            await self._index.drop(space)
        for space in diagnosis.unused:
            await self._index.drop(space)
            await self._documents.forget_space(space)
        for space, ids in diagnosis.orphans.items():
            await self._index.delete(space, ids=ids)
        for version in diagnosis.wordless:
            await self._documents.index_words(version)
        await self._documents.queue_indexing([*diagnosis.misplaced, *diagnosis.vectorless])

    async def rebuild(self) -> int:
        """Empty both indexes and queue all live versions; how many there are."""
        live = [version for version in await self._documents.live_versions() if version.chunks]
        for space in dict.fromkeys(version.space for version in live):
            if space is not None:
                await self._index.drop(space)
        for version in live:
            await self._documents.index_words(version.id)
        await self._documents.queue_indexing([version.id for version in live])
        return len(live)

    async def examine_and_repair(self) -> None:
        """What every start does; trouble with an engine leaves it to the next one."""
        try:
            diagnosis = await self.examine()
            if not diagnosis.healthy:
                logger.warning("indexes differ from the record and are repaired", extra=diagnosis.counts)
                await self.repair(diagnosis)
        except UnavailableError as error:
            logger.warning("indexes could not be examined", extra={"code": error.code})

    def _space(self, version: LiveVersion) -> str | None:
        return self._spaces.of(version, label=version.label)

    async def _examine(self, space: str, members: Sequence[LiveVersion]) -> _Finding:
        agreed = await self._index.count(space) == sum(version.chunks for version in members)
        if agreed and await self._answers(space, probe=f"{members[0].id}:0"):
            return _Finding()
        held = set(await self._index.ids(space))
        probe = next((id for version in members for id in _chunk_ids(version) if id in held), None)
        if probe is not None and not await self._answers(space, probe=probe):
            return _Finding(mute=True, vectorless=tuple(version.id for version in members))
        return _Finding(
            vectorless=tuple(version.id for version in members if not held.issuperset(_chunk_ids(version))),
            orphans=await self._orphans(
                space, ids=held.difference(id for version in members for id in _chunk_ids(version))
            ),
        )

    async def _answers(self, space: str, *, probe: str) -> bool:
        """Whether a search of the space with the vector of an id that it holds finds it, or one like it."""
        vectors = await self._index.fetch(space, ids=[probe])
        if probe not in vectors:
            return False
        found = await self._index.query(space, vector=vectors[probe], limit=1)
        return bool(found) and found[0].similarity >= SAME

    async def _orphans(self, space: str, *, ids: Iterable[str]) -> tuple[str, ...]:
        """Those of the ids that belong to no version that may have vectors there."""
        by_version: dict[str, list[str]] = {}
        for id in ids:
            by_version.setdefault(id.rpartition(":")[0], []).append(id)
        owners = await self._documents.vector_owners(list(by_version), space=space)
        return tuple(id for version, owned in by_version.items() if version not in owners for id in owned)


def _by_space(versions: Iterable[LiveVersion]) -> dict[str, list[LiveVersion]]:
    grouped: dict[str, list[LiveVersion]] = {}
    for version in versions:
        if version.space is not None:
            grouped.setdefault(version.space, []).append(version)
    return grouped


def _chunk_ids(version: LiveVersion) -> Iterable[str]:
    return (f"{version.id}:{ordinal}" for ordinal in range(version.chunks))
