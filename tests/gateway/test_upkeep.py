"""The indexes are kept in step with the record: at every start, by `doctor` and by `rebuild`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import ConfigurationError
from app.models import Caller, Dispatch, Label, RetrievalScope
from app.protocols import VectorIndex, Vectors
from app.records import DocumentKey
from app.services.doctor import Doctor
from app.services.ingestion import Upload
from app.services.retrieval import SearchQuery
from app.stores.memory_vectors import MemoryVectorIndex
from app.wiring import Services, open_services
from tests.support.process import REPOSITORY, ServiceProcess
from tests.support.service import isolated_settings

CALLER = Caller()
TEXTS = {"moon": "The moon orbits the Earth every 27 days.", "bread": "Sourdough bread rises with wild yeast."}


def upload(id: str, text: str, *, label: Label = Label.PUBLIC) -> Upload:
    return Upload(
        id=id,
        collection="default",
        title=None,
        content=text.encode(),
        media_type="text/plain",
        filename=None,
        label=label,
        metadata={},
    )


async def index(services: Services) -> None:
    await services.ingestion.accept([upload(id, text) for id, text in TEXTS.items()], caller=CALLER)
    await services.ingestion.work_off()


async def by_meaning(services: Services, text: str = "satellite of our planet") -> list[str]:
    """The documents that the vector index finds."""
    query = SearchQuery(text=text, label=Label.PUBLIC, scope=RetrievalScope())
    found = await services.retrieval.search(query, caller=CALLER)
    return [each.passage.document_id for each in found if each.by_meaning is not None]


async def space_of(services: Services) -> str:
    [space] = await services.documents.spaces(tenant="default", collection="default", clearance=Label.PUBLIC)
    return space


class AnotherModel:
    """An embedding model whose vectors have nothing to do with those of the one it stands for."""

    max_tokens = 256
    fingerprint = "another"

    def __init__(self, services: Services, *, clearance: Label = Label.CONFIDENTIAL) -> None:
        self.model = replace(services.embedder.model, clearance=clearance)

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        return np.full((len(dispatch.payload), 4), 0.5, dtype=np.float32)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(at, at + 1) for at in range(len(text))]

    async def close(self) -> None:
        """Nothing is open."""


class MuteIndex(MemoryVectorIndex):
    """Holds what another index holds, and finds nothing: what is left of a damaged graph of neighbours."""

    def __init__(self, index: VectorIndex) -> None:
        super().__init__()
        self.count, self.ids, self.fetch, self.drop = index.count, index.ids, index.fetch, index.drop  # type: ignore[method-assign]  # passed on


async def test_indexes_that_agree_with_the_record_are_healthy(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        assert (await services.doctor.examine()).healthy


async def test_vectors_that_are_gone_are_made_anew_and_the_document_is_found_by_words_meanwhile(tmp_path: Path) -> None:
    settings = isolated_settings(tmp_path, vector_store="memory")
    async with open_services(settings, at_rest=True) as services:
        await index(services)
    async with open_services(settings, at_rest=True) as services:  # the memory of the first went with it
        query = SearchQuery(text="moon orbits", label=Label.PUBLIC, scope=RetrievalScope())
        [found] = await services.retrieval.search(query, caller=CALLER)
        assert (found.passage.document_id, found.by_meaning, found.by_words) == ("moon", None, 1)
        diagnosis = await services.doctor.examine()
        assert diagnosis.counts["vectorless"] == 2
        await services.doctor.repair(diagnosis)
        await services.ingestion.work_off()
        assert (await by_meaning(services))[0] == "moon"
        assert (await services.doctor.examine()).healthy


async def test_vectors_of_no_document_are_taken_out(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        space = await space_of(services)
        vector = np.zeros((1, 384), dtype=np.float32)
        await services.index.upsert(space, ids=[f"{'0' * 32}:0"], vectors=vector)
        diagnosis = await services.doctor.examine()
        assert diagnosis.orphans == {space: (f"{'0' * 32}:0",)}
        await services.doctor.repair(diagnosis)
        assert await services.index.count(space) == 2
        assert (await services.doctor.examine()).healthy


async def test_another_embedding_model_never_searches_the_vectors_of_the_one_before(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        doctor = Doctor(documents=services.documents, index=services.index, embedder=AnotherModel(services))
        assert (await doctor.examine()).counts["misplaced"] == 2


async def test_documents_above_the_clearance_of_the_embedding_model_have_no_vectors(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await services.ingestion.accept([upload("a", "Secret.", label=Label.CONFIDENTIAL)], caller=CALLER)
        await services.ingestion.work_off()
        cloud = AnotherModel(services, clearance=Label.INTERNAL)
        doctor = Doctor(documents=services.documents, index=services.index, embedder=cloud)
        diagnosis = await doctor.examine()
        assert diagnosis.counts["misplaced"] == 1


async def test_a_rebuild_makes_both_indexes_anew(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        assert await services.doctor.rebuild() == 2
        assert await by_meaning(services) == []
        await services.ingestion.work_off()
        assert (await by_meaning(services))[0] == "moon"
        assert (await services.doctor.examine()).healthy


def change_words(tmp_path: Path, statement: str) -> None:
    """Damage the lexical index behind the service's back."""
    with closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as connection, connection:
        connection.execute(statement)


async def by_words(services: Services, text: str) -> list[str]:
    """The documents that the lexical index finds."""
    hits = await services.documents.search_words(
        text, tenant="default", collection="default", clearance=Label.PUBLIC, limit=5
    )
    scores = {hit.chunk_id: hit.score for hit in hits}
    passages = await services.documents.passages(scores, tenant="default", clearance=Label.PUBLIC)
    return [passage.document_id for passage in passages]


async def test_a_rebuild_renews_the_words_too(tmp_path: Path) -> None:
    """Words that an earlier analysis left are gone, and those of today's are there."""
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        change_words(tmp_path, "UPDATE words SET body = 'zebra'")
        assert (await by_words(services, "orbits"), len(await by_words(services, "zebra"))) == ([], 2)
        await services.doctor.rebuild()
        assert (await by_words(services, "orbits"), await by_words(services, "zebra")) == (["moon"], [])


async def test_words_that_are_gone_are_put_back(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        change_words(tmp_path, "DELETE FROM words")
        diagnosis = await services.doctor.examine()
        assert diagnosis.counts["wordless"] == 2
        await services.doctor.repair(diagnosis)
        assert await by_words(services, "sourdough") == ["bread"]
        assert (await services.doctor.examine()).healthy


async def test_a_space_that_finds_nothing_is_made_anew(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        mute = Doctor(documents=services.documents, index=MuteIndex(services.index), embedder=services.embedder)
        diagnosis = await mute.examine()
        assert (diagnosis.mute, diagnosis.counts["vectorless"]) == ((await space_of(services),), 2)
        await mute.repair(diagnosis)
        assert await services.index.count(await space_of(services)) == 0
        await services.ingestion.work_off()
        assert (await services.doctor.examine()).healthy


async def test_a_space_without_documents_is_dropped(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory"), at_rest=True) as services:
        await index(services)
        for id in TEXTS:
            await services.ingestion.remove(DocumentKey(tenant="default", collection="default", id=id), caller=CALLER)
        await services.ingestion.work_off()
        diagnosis = await services.doctor.examine()
        assert diagnosis.counts["unused"] == 1
        await services.doctor.repair(diagnosis)
        assert (await services.doctor.examine()).healthy


async def test_a_data_directory_serves_one_process_at_a_time(tmp_path: Path) -> None:
    settings = isolated_settings(tmp_path, vector_store="memory")
    async with open_services(settings, at_rest=True):
        with pytest.raises(ConfigurationError, match="DATA_DIR"):
            async with open_services(settings, at_rest=True):
                pass
    async with open_services(settings, at_rest=True) as services:
        assert (await services.doctor.examine()).healthy


async def test_doctor_refuses_while_the_service_runs_and_then_finds_all_well(tmp_path: Path) -> None:
    async with ServiceProcess(tmp_path, environment={"VECTOR_STORE": "memory"}) as service:
        assert await run(service, "doctor") == (2, "in use by another process")
        assert await run(service, "rebuild") == (2, "in use by another process")
        await service.terminate()
        assert await run(service, "doctor") == (0, "agree with the record")


async def run(service: ServiceProcess, command: str) -> tuple[int, str]:
    """A command's exit status, and which of the expected words it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        command,
        cwd=REPOSITORY,
        env=service._environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    said = output.decode()
    known = ("in use by another process", "agree with the record")
    return process.returncode or 0, next((words for words in known if words in said), said)
