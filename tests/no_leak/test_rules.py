"""The rules of the promise that no test elsewhere stands for, each in the cells or the wall that it is about."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.egress import Egress, LocalNetworks, PeerNotLocalError, Request
from app.errors import NotClearedError
from app.models import (
    Caller,
    ChatRequest,
    Complexity,
    Dispatch,
    Grounding,
    GroundingOutcome,
    Label,
    Locality,
    Message,
    Model,
    Route,
    Usage,
)
from app.records import Turn
from app.services.cache import AnswerCache, CacheRules, Partition, ReadSet, Slot
from app.services.cache_entries import CachedAnswer
from app.services.purges import Purges
from app.stores.memory_cache import MemoryCache
from app.stores.sql.engine import Database
from app.stores.sql.sessions import SqlSessionStore
from app.utils.logging import JSONFormatter
from app.wiring import open_services
from tests.no_leak.assembly import open_stage
from tests.no_leak.cells import BASE, Cell
from tests.no_leak.configurations import CONFIGURATIONS
from tests.no_leak.drafts import Draft, Words
from tests.no_leak.failures import FAILURES
from tests.no_leak.judging import judge
from tests.no_leak.stage import Reply, Stage
from tests.no_leak.surfaces import OPENAI, SURFACES
from tests.support.behaviours import Redirect
from tests.support.canaries import find_canary, openai_key
from tests.support.service import isolated_settings
from tests.support.upstream import ScriptedUpstream

FAR = "embeddings in the cloud"
CANARY = "quixotropic"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOUD_MODEL = Model(provider="openai", name="any", locality=Locality.CLOUD, clearance=Label.INTERNAL)
LOCAL_MODEL = Model(provider="ollama", name="any", locality=Locality.LOCAL, clearance=Label.CONFIDENTIAL)


async def check(directory: Path, *cells: tuple[str, str, str, str], configuration: str = BASE) -> None:
    """Play the cells, given as failure, surface, position and origin: none leaks and every twin arrives."""
    chosen = [Cell(configuration, *sides) for sides in cells]
    async with open_stage(directory, CONFIGURATIONS[configuration]) as stage:
        verdicts = await judge(chosen, stage=stage, configuration=CONFIGURATIONS[configuration])
    assert len(verdicts) == len(chosen)
    assert [str(verdict) for verdict in verdicts if not verdict.passed] == []


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway that prefers the cloud wherever it may."""
    async with open_stage(tmp_path, CONFIGURATIONS[BASE]) as stage:
        yield stage


async def ask(stage: Stage, body: Mapping[str, Any], *, surface: str = "chat", **headers: str) -> Reply:
    words = Words(canary=CANARY, carrier=CANARY, thing=CANARY, name="s1")
    draft = Draft(words=words, body=dict(body), headers=dict(headers))
    return await stage.send(draft, surface=SURFACES[surface])


def in_cloud(stage: Stage, word: str) -> bool:
    return any(find_canary(word, within=content) for content in stage.sent().values())


# What the label is read from


async def test_a_secret_is_found_in_every_position_that_is_sent(tmp_path: Path) -> None:
    """Every turn, name, tool, schema and URL of OpenAI's body is read."""
    read = [name for name, place in OPENAI.items() if place.read and place.sent and name != "title of a passage"]
    await check(tmp_path, *(("none", "openai", position, "detected") for position in read))


async def test_a_header_raises_what_the_body_says(tmp_path: Path) -> None:
    """A label in `x-sluice-sensitivity` is joined on every surface."""
    surfaces = {"chat": "message", "chat stream": "message", "openai": "last turn", "socket": "message"}
    await check(tmp_path, *(("none", surface, place, "header over body") for surface, place in surfaces.items()))


async def test_a_detector_that_fails_makes_the_request_confidential(tmp_path: Path) -> None:
    await check(tmp_path, ("none", "chat", "message", "detector crash"))


async def test_what_is_too_long_to_be_read_is_confidential(tmp_path: Path) -> None:
    await check(tmp_path, ("none", "chat", "message", "too long"))


async def test_a_label_is_compared_with_the_clearance_and_not_with_one_word(tmp_path: Path) -> None:
    """Where the cloud is cleared for `public` only, `internal` stays away from it as well."""
    cells = [("none", "chat", "message", "stated"), ("none", "openai", "passage", "document")]
    await check(tmp_path, *cells, configuration="cloud cleared for public")


async def test_a_secret_that_is_split_over_two_turns_of_a_session_is_found(stage: Stage) -> None:
    """Neither half is found alone, so only reading the history with the turn finds it."""
    key = openai_key(random.Random(1))
    turn = {"session_id": "s1", "documents": False}
    await ask(stage, {**turn, "message": f"Keep this for me: {key[:9]}"})
    await ask(stage, {**turn, "message": f"{key[9:]} and that {CANARY}"})
    assert in_cloud(stage, key[:9])
    assert not in_cloud(stage, CANARY)


async def test_a_keys_floor_raises_every_request(tmp_path: Path) -> None:
    async with open_services(isolated_settings(tmp_path, vector_store="memory")) as services:
        request = ChatRequest(messages=(Message.of("user", "Hello"),))
        explained = await services.gateway.explain(request, caller=Caller(label_floor=Label.CONFIDENTIAL))
    assert explained.route.label is Label.CONFIDENTIAL


async def test_pictures_stay_local_where_the_operator_says_so(tmp_path: Path) -> None:
    """`UNINSPECTED_LABEL` is the label of what cannot be read; without a picture the same request is public."""
    base = CONFIGURATIONS[BASE]
    strict = replace(base, settings=lambda cloud: {**base.settings(cloud), "uninspected_label": "confidential"})
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    text = {"type": "text", "text": f"What is this {CANARY}?"}
    async with open_stage(tmp_path, strict) as stage:
        await ask(stage, {"messages": [{"role": "user", "content": [text, picture]}]})
        assert not in_cloud(stage, CANARY)
        await ask(stage, {"messages": [{"role": "user", "content": [text]}]})
        assert in_cloud(stage, CANARY)


async def test_redaction_lowers_nothing_that_is_stated(tmp_path: Path) -> None:
    """What is found is taken out; what is stated stays above the clearance all the same."""
    base = CONFIGURATIONS["redaction"]
    strict = replace(base, settings=lambda cloud: {**base.settings(cloud), "cloud_clearance": "public"})
    body = {"message": f"{CANARY} {openai_key(random.Random(1))}", "documents": False}
    async with open_stage(tmp_path, strict) as stage:
        await ask(stage, {**body, "sensitivity": "internal"})
        assert not in_cloud(stage, CANARY)
        await ask(stage, body)
        assert in_cloud(stage, CANARY)


async def test_a_field_that_is_not_known_is_refused(stage: Stage) -> None:
    """A misspelt label, or an address that a client library would obey, never goes unnoticed."""
    for field in ("sensitivty", "api_base", "base_url", "extra_headers", "fallbacks", "mcp_servers"):
        assert (await ask(stage, {"message": CANARY, field: "confidential"})).status == 422
    assert not in_cloud(stage, CANARY)


# Sessions, documents, the cache


async def test_a_session_is_marked_before_its_turn_is_sent(stage: Stage) -> None:
    """A turn that fails counts: what follows it in the session stays local."""
    turn = {"session_id": "s1", "documents": False}
    async with FAILURES["local down"].trouble(stage):
        failed = await ask(stage, {**turn, "message": "Hello", "sensitivity": "confidential"})
    assert failed.status == 503
    await ask(stage, {**turn, "message": CANARY, "sensitivity": "public"})
    assert not in_cloud(stage, CANARY)
    await ask(stage, {"message": CANARY, "sensitivity": "public"})
    assert in_cloud(stage, CANARY)


async def test_a_document_above_the_embedding_models_clearance_is_not_embedded(tmp_path: Path) -> None:
    cells = [("none", "documents", "content", origin) for origin in ("stated on document", "header", "detected")]
    await check(tmp_path, *cells, configuration=FAR)


async def test_a_query_above_the_embedding_models_clearance_is_not_embedded(tmp_path: Path) -> None:
    cells = [("none", "search", "query", "stated"), ("none", "embeddings", "input", "header over body")]
    await check(tmp_path, *cells, configuration=FAR)


async def test_an_explanation_makes_no_call(tmp_path: Path) -> None:
    """`/route` looks nothing up where that would send the question, public or not."""
    settings = CONFIGURATIONS[FAR]
    async with open_stage(tmp_path, settings) as stage:
        stored = {"documents": [{"content": f"The storm passed over {CANARY}", "sensitivity": "public"}]}
        await ask(stage, stored, surface="documents")
        stage.forget()
        assert (await ask(stage, {"message": f"What of {CANARY}?"}, surface="route")).status == 200
        assert not in_cloud(stage, CANARY)


async def test_a_stored_turn_of_a_lower_label_leaves_the_mark_as_it_is(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'sessions.db'}")
    sessions = SqlSessionStore(database, clock=lambda: NOW)
    incarnation = await sessions.raise_mark("s1", tenant="a", label=Label.CONFIDENTIAL)
    assert incarnation is not None
    turn = Turn(message=Message.of("user", "Hello"), label=Label.PUBLIC, created_at=NOW)
    await sessions.append("s1", tenant="a", incarnation=incarnation, turns=[turn])
    assert (await sessions.read("s1", tenant="a", clearance=Label.CONFIDENTIAL)).mark is Label.CONFIDENTIAL
    await database.close()


def slot(*, tenant: str = "a", label: Label = Label.PUBLIC, clearance: Label = Label.CONFIDENTIAL) -> Slot:
    reads = ReadSet(clearance=clearance, models=None, collection=None, filter=None)
    partition = Partition(tenant=tenant, label=label, reads=reads, policy="p", catalog="c", documents="d")
    return Slot(request=ChatRequest(messages=(Message.of("user", "Hello"),)), partition=partition)


def cache(store: MemoryCache, *, secret: bytes = b"s" * 32) -> AnswerCache:
    purges = Purges(store=store, secret=secret, make_id=lambda: "ledger")
    rules = CacheRules(ttl=60, max_temperature=2.0)
    return AnswerCache(store=store, secret=secret, rules=rules, purges=purges, clock=lambda: NOW)


def answer(label: Label) -> CachedAnswer:
    route = Route(label=label, complexity=Complexity.SIMPLE, complexity_score=0.0, raised_by=(), rule="", candidates=())
    return CachedAnswer(
        label=label,
        model="m",
        deltas=(),
        finish_reasons=("stop",),
        usage=Usage(),
        cost=None,
        citations=(),
        grounding=Grounding(outcome=GroundingOutcome.NO_DOCUMENTS),
        route=route,
    )


@pytest.fixture
def store() -> MemoryCache:
    return MemoryCache(max_bytes=100_000, monotonic=lambda: 0.0)


@pytest.mark.parametrize(
    "other",
    [slot(tenant="b"), slot(label=Label.INTERNAL), slot(clearance=Label.INTERNAL)],
    ids=["tenant", "label", "clearance"],
)
async def test_a_cached_answer_is_found_in_its_own_partition_only(store: MemoryCache, other: Slot) -> None:
    answers = cache(store)
    await answers.keep(slot(), answer(Label.PUBLIC))
    assert await answers.find(slot()) is not None
    assert await answers.find(other) is None


async def test_a_cached_answer_is_not_served_above_the_callers_clearance(store: MemoryCache) -> None:
    """Retrieval may have raised the answer above the request that it was kept for."""
    low = slot(clearance=Label.PUBLIC)
    await cache(store).keep(low, answer(Label.INTERNAL))
    assert await cache(store).find(low) is None


async def test_a_confidential_answer_is_not_cached(store: MemoryCache) -> None:
    """Also where only a passage made it confidential."""
    await cache(store).keep(slot(), answer(Label.CONFIDENTIAL))
    assert await store.get(cache(store).key(slot())) is None


def test_cache_keys_tell_nothing_without_the_secret(store: MemoryCache) -> None:
    assert cache(store, secret=b"a" * 32).key(slot()) != cache(store, secret=b"b" * 32).key(slot())


# The way out


@asynccontextmanager
async def egress(networks: LocalNetworks | None = None) -> AsyncIterator[Egress]:
    way_out = Egress(
        cloud_clearance=Label.INTERNAL, networks=networks or LocalNetworks(), connect_timeout=1.0, total_timeout=5.0
    )
    yield way_out
    await way_out.close()


async def post(way_out: Egress, upstream: ScriptedUpstream, *, model: Model, label: Label) -> int:
    request = Request(url=f"{upstream.origin}/v1/chat/completions", body=b'{"model": "m", "text": "quixotropic"}')
    async with way_out.send(Dispatch(CANARY, label, model), request) as response:
        return response.status


def test_a_dispatch_above_the_clearance_cannot_be_made() -> None:
    with pytest.raises(NotClearedError):
        Dispatch(CANARY, Label.CONFIDENTIAL, CLOUD_MODEL)


async def test_the_egress_trusts_no_clearance_that_a_cloud_model_claims(openai_upstream: ScriptedUpstream) -> None:
    """A dispatch that a wrong catalog entry let through is stopped before anything connects."""
    claiming = replace(CLOUD_MODEL, clearance=Label.CONFIDENTIAL)
    async with egress() as way_out:
        with pytest.raises(NotClearedError):
            await post(way_out, openai_upstream, model=claiming, label=Label.CONFIDENTIAL)
        with pytest.raises(NotClearedError):
            way_out.admit(Dispatch(CANARY, Label.CONFIDENTIAL, claiming))
        assert openai_upstream.connections == 0
        await post(way_out, openai_upstream, model=claiming, label=Label.PUBLIC)
    assert CANARY.encode() in openai_upstream.received


class Nowhere(LocalNetworks):
    """No address counts as local, not even this machine's own."""

    def __contains__(self, address: str) -> bool:
        return False


async def test_nothing_is_written_to_a_peer_that_is_not_local(openai_upstream: ScriptedUpstream) -> None:
    async with egress(Nowhere()) as way_out:
        with pytest.raises(PeerNotLocalError):
            await post(way_out, openai_upstream, model=LOCAL_MODEL, label=Label.CONFIDENTIAL)
    assert openai_upstream.received == b""


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.8.9.10", True), ("::1", True), ("10.1.2.3", True), ("172.31.0.1", True), ("192.168.1.1", True),
        ("fd00::1", True), ("::ffff:10.0.0.1", True), ("172.32.0.1", False), ("169.254.1.1", False),
        ("192.0.2.1", False), ("198.18.0.1", False), ("100.64.0.1", False), ("0.0.0.0", False), ("fe80::1", False),
        ("2001:db8::1", False), ("::ffff:8.8.8.8", False),
    ],
)  # fmt: skip
def test_local_addresses_are_loopback_and_private_ones_and_no_others(address: str, local: bool) -> None:
    assert (address in LocalNetworks()) is local


async def test_a_redirect_of_a_local_model_to_the_cloud_is_not_followed(
    openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> None:
    ollama_upstream.script = lambda _request: Redirect(f"{openai_upstream.origin}/v1/chat/completions")
    async with egress() as way_out:
        status = await post(way_out, ollama_upstream, model=LOCAL_MODEL, label=Label.CONFIDENTIAL)
    assert status == 307
    assert openai_upstream.connections == 0


@contextmanager
def variables(**values: str) -> Iterator[None]:
    os.environ.update(values)
    yield
    for name in values:
        del os.environ[name]


async def test_a_proxy_from_the_environment_is_not_used(
    openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> None:
    with variables(http_proxy=openai_upstream.origin, HTTP_PROXY=openai_upstream.origin):
        async with egress() as way_out:
            await post(way_out, ollama_upstream, model=LOCAL_MODEL, label=Label.CONFIDENTIAL)
    assert openai_upstream.connections == 0
    assert CANARY.encode() in ollama_upstream.received


# What the gateway says of its requests


def test_an_exceptions_text_is_not_logged() -> None:
    error = ValueError(CANARY)
    record = logging.makeLogRecord({"msg": "unexpected error", "exc_info": (type(error), error, None)})
    assert CANARY not in JSONFormatter().format(record)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [{"type": CANARY, "text": "x"}]}]},
        {"messages": [{"role": CANARY, "content": "x"}]},
        {"message": "x", "sensitivity": CANARY},
        {"message": "x", "complexity": CANARY},
        {"message": "x", "documents": {"filter": {CANARY: 1}}},
        {"message": "x", "model": CANARY},
    ],
    ids=["part", "role", "sensitivity", "complexity", "filter", "model"],
)
async def test_a_refusal_does_not_quote_what_it_refuses(stage: Stage, body: dict[str, Any]) -> None:
    assert (await ask(stage, body)).status in (400, 404, 422)
    assert [name for name, content in (await stage.traces()).items() if find_canary(CANARY, within=content)] == []


async def test_what_a_models_server_says_of_its_error_is_passed_on_to_nobody(tmp_path: Path) -> None:
    """The scripted servers quote the prompt in their errors."""
    failures = ("local 503", "local HTML", "local error in mid-stream", "cloud 400", "cloud 503")
    await check(tmp_path, *((failure, "openai", "last turn", "stated") for failure in failures))


async def test_a_callers_request_id_is_kept_in_our_shape_only(tmp_path: Path) -> None:
    await check(tmp_path, ("none", "chat", "request id", "stated"))
