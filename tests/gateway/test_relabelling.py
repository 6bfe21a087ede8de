"""What administrators alone may do to labels: `declassify`, and the floor of a collection."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.models import Label
from app.services.vector_store import Spaces
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.gateway.test_audit import records
from tests.gateway.test_commands import run
from tests.support.canaries import assert_no_canary
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

PATIENCE = 30.0

QUESTION = "What is the project to buy the competitor called?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """A gateway with an administrator beside everyone else."""

    gateway: Gateway
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def declassify(self, id: str, *, sensitivity: str = "public", **options: Any) -> tuple[int, Any]:
        body = {"sensitivity": sensitivity, "reason": "ticket-4711"}
        return await self.gateway.post(f"/documents/{id}/declassify", body, **{"headers": self.headers, **options})

    async def set_floor(self, floor: str, **options: Any) -> tuple[int, Any]:
        given = {"headers": self.headers, **options}
        async with self.gateway.service.client.put("/collections/default", json={"floor": floor}, **given) as response:
            return response.status, await response.json()

    async def settle(self, id: str) -> Any:
        """Wait until nothing is left to do for the document; how it stands then."""
        client = self.gateway.service.client
        async with client.get(f"/documents/{id}/events") as response:
            await response.read()
        services = self.gateway.service.app.state.services
        async with asyncio.timeout(PATIENCE):
            while any((await services.documents.count_jobs(now=datetime.now(UTC))).values()):
                await services.ingestion.work_off()
        async with client.get(f"/documents/{id}") as response:
            return await response.json()


@pytest.fixture
async def office(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Office]:
    key = secrets.token_hex(16)
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, admin_key=key, **settings) as service:
        yield Office(gateway=Gateway(service=service, cloud=openai_upstream, local=ollama_upstream), key=key)


def merger(canary: str) -> dict[str, str]:
    """A document that detectors find something in."""
    return {"id": "merger", "content": f"The project to buy the competitor is called {canary}. Ask eve@brightfield.de."}


async def test_a_declassified_document_has_the_label_that_was_set_whatever_is_found_in_it(
    office: Office, canary: str
) -> None:
    gateway = office.gateway
    [before] = await gateway.add({**merger(canary), "sensitivity": "confidential"})
    assert (await gateway.chat(QUESTION))["model_used"] == LOCAL
    services = gateway.service.app.state.services
    [earlier] = await services.documents.live_versions()
    status, answer = await office.declassify("merger")
    assert (status, answer["sensitivity"], answer["status"]) == (202, "public", "pending")
    after = await office.settle("merger")
    assert (after["status"], after["sensitivity"], after["size"]) == ("indexed", "public", before["size"])
    assert await services.ingestion.settled([earlier.id], within=10)  # what it said is known until it is erased
    answer = await gateway.chat(QUESTION)
    assert answer["model_used"] == CLOUD, answer["route"]
    assert canary.encode() in gateway.cloud.received
    # Neither does a request that repeats the document join what its earlier version was.
    repeated = await gateway.chat(f"Say this again: the project to buy the competitor is called {canary}.", cache=False)
    assert repeated["sensitivity"] == "public"


async def test_the_version_before_is_what_readers_see_until_the_new_one_is_indexed(office: Office, canary: str) -> None:
    services = office.gateway.service.app.state.services
    [before] = await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    key = (await services.documents.live_versions())[0]
    await office.declassify("merger")
    live = await services.documents.live_versions()
    assert len(live) == 1
    assert live[0].label == (Label.CONFIDENTIAL if live[0].id == key.id else Label.PUBLIC)
    assert before["sensitivity"] == "confidential"


async def test_only_an_administrator_may_declassify(office: Office, canary: str) -> None:
    await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    status, answer = await office.declassify("merger", headers={})
    assert (status, answer["error"]["code"]) == (403, "missing_scope")
    assert (await office.settle("merger"))["sensitivity"] == "confidential"
    assert (await office.declassify("another"))[0] == 404
    assert (await office.declassify("another", headers={}))[0] == 403  # whether there is one or not


async def test_declassifying_does_not_raise_a_label(office: Office, canary: str) -> None:
    await office.gateway.add({"id": "merger", "content": f"Nothing but {canary}.", "sensitivity": "public"})
    status, answer = await office.declassify("merger", sensitivity="confidential")
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (409, "conflict", "sensitivity")


async def test_what_was_declassified_stays_so_when_it_comes_again_until_a_higher_label_is_stated(
    office: Office, canary: str
) -> None:
    document = merger(canary)
    await office.gateway.add({**document, "sensitivity": "confidential"})
    await office.declassify("merger")
    await office.settle("merger")
    assert (await office.gateway.add(document))[0]["sensitivity"] == "public"
    changed = {**document, "content": f"{document['content']} It is dear."}
    assert (await office.gateway.add({**changed, "sensitivity": "public"}))[0]["sensitivity"] == "confidential"


async def test_posting_as_public_does_not_lower_what_is_declassified_to_internal(office: Office, canary: str) -> None:
    await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    await office.declassify("merger", sensitivity="internal")
    await office.settle("merger")
    plain = {"id": "merger", "content": f"Only {canary}.", "sensitivity": "public"}
    assert (await office.gateway.add(plain))[0]["sensitivity"] == "internal"


async def test_a_declassification_is_recorded_without_any_text(office: Office, canary: str) -> None:
    await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    await office.declassify("merger")
    [record] = await records(office.gateway.service, count=1, kind="declassification")
    assert (record["key_id"], record["label"], record["new_label"]) == ("admin", "confidential", "public")
    assert record["reason"] == "ticket-4711"
    assert_no_canary(canary, audit=str(record).encode())


async def test_a_reason_is_a_reference_and_no_text(office: Office, canary: str) -> None:
    await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    body = {"sensitivity": "public", "reason": f"because {canary} is known"}
    status, answer = await office.gateway.post("/documents/merger/declassify", body, headers=office.headers)
    assert (status, answer["error"]["param"]) == (422, "reason")


async def test_the_command_asks_before_it_declassifies(office: Office, canary: str) -> None:
    service = office.gateway.service
    await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    command = ("documents", "declassify", "merger", "--sensitivity", "internal")
    status, printed = await run(service, *command, key=office.key)
    assert (status, "default/merger is confidential." in printed) == (1, True)
    assert (await office.settle("merger"))["sensitivity"] == "confidential"
    status, printed = await run(service, *command, "--yes", key=office.key)
    assert (status, printed.splitlines()[-1]) == (0, "It is indexed as internal.")
    assert (await run(service, *command, "--yes"))[0] == 1  # without the key


# Floors


async def test_a_floor_raises_what_is_there_and_what_is_put_in(office: Office, canary: str) -> None:
    gateway = office.gateway
    await gateway.add({"id": "merger", "content": f"The project to buy the competitor is called {canary}."},
                      sensitivity="public")  # fmt: skip
    assert (await gateway.chat(QUESTION, sensitivity="public"))["model_used"] == CLOUD
    assert await office.set_floor("confidential") == (
        200, {"name": "default", "floor": "confidential", "raised": 1},
    )  # fmt: skip
    gateway.cloud.forget()
    answer = await gateway.chat(QUESTION, sensitivity="public")
    assert (answer["model_used"], answer["cached"]) == (LOCAL, False)
    [added] = await gateway.add({"id": "new", "content": "The sky is blue."}, sensitivity="public")
    assert added["sensitivity"] == "confidential"
    assert canary.encode() not in gateway.cloud.received


async def test_vectors_move_to_the_space_of_the_label_that_a_floor_gave_them(office: Office, canary: str) -> None:
    services = office.gateway.service.app.state.services
    await office.gateway.add({"id": "merger", "content": f"Its name is {canary}."}, sensitivity="public")
    [before] = await services.documents.live_versions()
    await office.set_floor("confidential")
    await office.settle("merger")
    [after] = await services.documents.live_versions()
    assert after.space == Spaces(services.embedder).of(after, label=Label.CONFIDENTIAL) != before.space
    assert (await services.index.count(before.space), await services.index.count(after.space)) == (0, 1)
    assert (await services.doctor.examine()).misplaced == ()


async def test_what_a_floor_raised_is_known_again_when_a_request_repeats_it(office: Office, canary: str) -> None:
    text = f"The project to buy the largest competitor on the northern market is called {canary} by all of us."
    await office.gateway.add({"id": "merger", "content": text}, sensitivity="public")
    await office.set_floor("confidential")
    await office.settle("merger")
    answer = await office.gateway.chat(f"Translate this: {text}", documents=False)
    assert (answer["sensitivity"], answer["model_used"]) == ("confidential", LOCAL)


async def test_only_an_administrator_sets_a_floor_and_nothing_is_declassified_below_it(
    office: Office, canary: str
) -> None:
    status, answer = await office.set_floor("confidential", headers={})
    assert (status, answer["error"]["code"]) == (403, "missing_scope")
    await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
    await office.set_floor("internal")
    assert (await office.declassify("merger"))[0] == 409
    assert (await office.declassify("merger", sensitivity="internal"))[0] == 202
    [*_, record] = await records(office.gateway.service, count=1, kind="floor")
    assert (record["key_id"], record["label"], record["raised"]) == ("admin", "internal", 0)


async def test_a_floor_that_is_lowered_lowers_no_document(office: Office, canary: str) -> None:
    await office.gateway.add({"id": "merger", "content": canary}, sensitivity="public")
    await office.set_floor("confidential")
    assert (await office.set_floor("public"))[1]["raised"] == 0
    assert (await office.settle("merger"))["sensitivity"] == "confidential"


async def test_another_collection_keeps_its_labels(office: Office, canary: str) -> None:
    await office.gateway.add({"id": "merger", "content": canary}, sensitivity="public", collection="elsewhere")
    await office.set_floor("confidential")
    async with office.gateway.service.client.get("/documents/merger?collection=elsewhere") as response:
        assert (await response.json())["sensitivity"] == "public"


async def test_the_labels_survive_a_restart(tmp_path: Path, canary: str) -> None:
    key = secrets.token_hex(16)
    async with running(tmp_path, admin_key=key, vector_store="memory") as service:
        office = _alone(service, key=key)
        await office.gateway.add({**merger(canary), "sensitivity": "confidential"})
        await office.declassify("merger")
        await office.settle("merger")
    async with running(tmp_path, admin_key=key, vector_store="memory") as service:
        assert (await _alone(service, key=key).settle("merger"))["sensitivity"] == "public"


def _alone(service: Service, *, key: str) -> Office:
    nowhere = ScriptedUpstream.__new__(ScriptedUpstream)
    return Office(gateway=Gateway(service=service, cloud=nowhere, local=nowhere), key=key)
