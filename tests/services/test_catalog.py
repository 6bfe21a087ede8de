"""The catalog: the file, what the operator named, and what providers report."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.egress import Egress, LocalNetworks
from app.errors import ConfigurationError, UnknownModelError
from app.models import Complexity, Dispatch, Label, Locality, Model, Piece, Price, Prompt
from app.protocols import ChatProvider, ProviderStatus
from app.providers.extractive import EXTRACTIVE
from app.providers.openai_compatible import OpenAICompatible
from app.services.catalog import LISTING_SECONDS, Catalog
from app.services.catalog_file import CatalogFile
from app.services.health import Health
from app.services.strategies import WeightedSplit
from tests.support.behaviours import NoResponse
from tests.support.dialects import OpenAIDialect
from tests.support.upstream import ScriptedUpstream

FILE = """
[[model]]
id = "ollama/llama3"
tier = "moderate"
title = "Llama 3"
locality = "local"
context_length = 8192

[[model]]
id = "openai/known"
tier = "simple"
vision = true
sampling = false
prompt_per_million = 2
completion_per_million = 8

[[model]]
id = "openai/retired"
tier = "simple"

[preferences]
simple = ["openai/known"]
"""

REACHED = ProviderStatus(reachable=True)
DOWN = ProviderStatus(reachable=False)


class Answering:
    """A provider that says how it is when it is asked."""

    def __init__(self, status: ProviderStatus) -> None:
        self.status = status
        self.probes = 0

    def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        raise AssertionError("a catalog sends nothing")

    async def probe(self) -> ProviderStatus:
        self.probes += 1
        return self.status

    async def close(self) -> None: ...


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def reported(key: str, *, local: bool = False, **facts: Any) -> Model:
    provider, _, name = key.partition("/")
    return Model(
        provider=provider,
        name=name,
        locality=Locality.LOCAL if local else Locality.CLOUD,
        clearance=Label.CONFIDENTIAL if local else Label.INTERNAL,
        **facts,
    )


def catalog(
    providers: Mapping[str, ChatProvider] | None = None,
    *,
    file: str = FILE,
    preferences: Mapping[str, Sequence[str]] | None = None,
    configured: Sequence[str] = ("openai",),
    time: Time | None = None,
) -> Catalog:
    clock = time or Time()
    return Catalog(
        file=CatalogFile.parse(file, cloud_clearance=Label.INTERNAL),
        builtin=EXTRACTIVE,
        preferences=preferences or {},
        providers=providers or {},
        configured=frozenset(configured),
        cloud_clearance=Label.INTERNAL,
        health=Health(monotonic=clock),
        monotonic=clock,
    )


async def refreshed(
    *, file: str = FILE, preferences: Mapping[str, Sequence[str]] | None = None, **statuses: ProviderStatus
) -> Catalog:
    """A catalog whose providers have answered like this."""
    providers: dict[str, ChatProvider] = {name: Answering(status) for name, status in statuses.items()}
    found = catalog(
        providers, file=file, preferences=preferences, configured=[name for name in statuses if name != "ollama"]
    )
    await found.refresh()
    return found


# The file


def test_the_file_says_what_models_cost_can_and_may(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(FILE)
    file = CatalogFile.load(path, cloud_clearance=Label.PUBLIC)
    known = next(model for model in file.models if model.id == "openai/known")
    assert known.price == Price(prompt=2e-6, completion=8e-6)
    assert (known.tier, known.clearance) == (Complexity.SIMPLE, Label.PUBLIC)
    assert file.lacks["openai/known"] == {"sampling"}


@pytest.mark.parametrize(
    "text",
    [
        "no toml",
        '[[model]]\nid = "a/b"\ntier = "hard"',
        '[[model]]\nid = "a/b"\nlocallity = "local"',
        '[[provider]]\nname = "vllm"\nlocality = "local"',
        '[[provider]]\nname = "vllm"\nbase_url = "http://h/v1"\nlocality = "nearby"',
        '[[provider]]\nname = "vllm"\nlacks = ["sight"]',
        '[[provider]]\nname = "openai"\nbase_url = "http://h/v1"\nlocality = "local"',
        '[strategy]\nsimple = "random"',
        '[strategy]\nsimple = { "openai/known" = -1 }',
        '[strategy]\nhard = "cheapest"',
        "[preferenses]\n",
    ],
)
def test_a_file_with_a_mistake_in_it_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        CatalogFile.load(path, cloud_clearance=Label.INTERNAL)


def test_a_strategy_is_a_word_or_a_table_of_weights() -> None:
    file = CatalogFile.parse(
        '[strategy]\nsimple = "cheapest"\nmoderate = { "a/b" = 95, "a/c" = 5 }', cloud_clearance=Label.INTERNAL
    )
    assert file.strategies == {"simple": "cheapest", "moderate": WeightedSplit({"a/b": 95.0, "a/c": 5.0})}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "somebody"])
def test_an_entry_cannot_make_a_model_local_that_no_adapter_of_ours_vouches_for(provider: str) -> None:
    file = CatalogFile.parse(
        f'[[model]]\nid = "{provider}/x"\nlocality = "local"\nclearance = "confidential"',
        cloud_clearance=Label.INTERNAL,
    )
    assert (file.models[0].locality, file.models[0].clearance) == (Locality.CLOUD, Label.INTERNAL)


def test_a_provider_that_is_declared_local_vouches_for_its_models() -> None:
    file = CatalogFile.parse(
        '[[provider]]\nname = "vllm"\nbase_url = "http://10.0.0.5/v1"\nlocality = "local"\n[[model]]\nid = "vllm/x"',
        cloud_clearance=Label.INTERNAL,
    )
    assert (file.models[0].locality, file.models[0].clearance) == (Locality.LOCAL, Label.CONFIDENTIAL)


# What providers report


async def test_models_are_available_when_their_provider_is_configured_and_answers() -> None:
    found = catalog(configured=[]).view
    assert found.available == {EXTRACTIVE.id}
    assert found.builtin_only
    up = (await refreshed(openai=REACHED)).view
    assert up.answers(up.models["openai/known"])
    down = (await refreshed(openai=DOWN)).view
    assert not down.answers(down.models["openai/known"])
    assert "openai/known" in down.available


async def test_of_ollama_exactly_the_pulled_models_exist_and_what_it_reports_wins() -> None:
    pulled = reported("ollama/llama3:latest", local=True, context_length=4096, vision=True, tools=False)
    view = (await refreshed(ollama=replace(REACHED, models=(pulled, reported("ollama/own:1b", local=True))))).view
    assert {model.id for model in view.models.values() if model.provider == "ollama"} == {
        "ollama/llama3:latest",
        "ollama/own:1b",
    }
    llama = view.resolve("llama3")
    assert (llama.tier, llama.title, llama.context_length) == (Complexity.MODERATE, "Llama 3", 4096)
    assert llama.price == Price(prompt=0, completion=0)
    assert view.lacks[llama.id] == {"tools"}


async def test_a_server_that_goes_away_takes_its_models_out_of_reach_but_not_out_of_the_catalog() -> None:
    server = Answering(replace(REACHED, models=(reported("ollama/own:1b", local=True),)))
    found = catalog({"ollama": server})
    await found.refresh()
    assert "ollama/own:1b" in found.view.available
    server.status = DOWN
    await found.refresh()
    assert found.view.resolve("own:1b").id == "ollama/own:1b"
    assert "ollama/own:1b" not in found.view.available


async def test_a_list_informs_and_never_excludes() -> None:
    listing = replace(REACHED, models=(reported("openai/known"), reported("openai/whisper")))
    view = (await refreshed(openai=listing)).view
    assert {"openai/retired", "openai/whisper"} <= view.available
    assert view.unlisted == {"openai/retired"}
    assert view.stated_only == {"openai/whisper"}


async def test_the_models_of_a_server_that_the_file_knows_nothing_of_are_used() -> None:
    view = (await refreshed(openai=replace(REACHED, models=(reported("openai/my-own"),)))).view
    assert view.stated_only == frozenset()
    assert view.unlisted == {"openai/known", "openai/retired"}


async def test_what_a_list_of_bare_names_does_not_say_counts_against_no_model() -> None:
    bare = (await refreshed(openai=replace(REACHED, models=(reported("openai/own"), reported("openai/known"))))).view
    assert bare.lacks["openai/own"] == frozenset()
    assert bare.lacks["openai/known"] == {"sampling"}
    assert bare.models["openai/known"].vision
    priced = reported("openrouter/own", price=Price(prompt=0.1, completion=0.1), vision=False)
    assert (await refreshed(openrouter=replace(REACHED, models=(priced,)))).view.lacks[priced.id] == {"vision"}


async def test_a_named_model_exists_wherever_its_provider_is_and_is_cloud_unless_that_is_declared_local() -> None:
    declared = '[[provider]]\nname = "vllm"\nbase_url = "http://10.0.0.5/v1"\nlocality = "local"\n'
    named = {"simple": ("vllm/mine", "openai/new")}
    view = (await refreshed(file=declared, preferences=named, vllm=REACHED, openai=REACHED)).view
    assert view.models["vllm/mine"].locality is Locality.LOCAL
    assert view.models["openai/new"].locality is Locality.CLOUD
    assert {"vllm/mine", "openai/new"} <= view.available


async def test_a_bare_name_is_resolved_if_one_provider_has_it() -> None:
    twice = '[[model]]\nid = "a/same"\n[[model]]\nid = "b/same"\n'
    assert catalog(file=twice, configured=["b"]).view.resolve("same").id == "b/same"
    for configured in (["a", "b"], []):
        with pytest.raises(UnknownModelError):
            catalog(file=twice, configured=configured).view.resolve("same")


async def test_a_long_list_is_asked_for_again_only_when_it_has_aged_or_failed() -> None:
    time = Time()
    cloud, local = Answering(REACHED), Answering(REACHED)
    found = catalog({"openai": cloud, "ollama": local}, time=time)
    for _ in range(3):
        await found.refresh()
    assert (cloud.probes, local.probes) == (1, 3)
    time.now += LISTING_SECONDS
    cloud.status = DOWN
    await found.refresh()
    await found.refresh()
    assert cloud.probes == 3


async def test_prices_and_health_do_not_change_the_fingerprint_and_models_do() -> None:
    found = catalog()
    before = found.view.fingerprint
    assert found.view.fingerprint == before
    assert catalog(configured=[]).view.fingerprint != before


# OpenRouter


LISTING: Mapping[str, Mapping[str, Any]] = {
    "vendor/free:free": {
        "name": "Vendor: Free",
        "context_length": 32_768,
        "architecture": {"input_modalities": ["text", "image"]},
        "pricing": {"prompt": "0", "completion": "0"},
    },
    "vendor/dear": {
        "context_length": 8_192,
        "architecture": {"input_modalities": ["text"]},
        "pricing": {"prompt": "0.00001", "completion": "0.00003"},
    },
}


async def openrouter(upstream: ScriptedUpstream) -> tuple[OpenAICompatible, Egress]:
    egress = Egress(cloud_clearance=Label.INTERNAL, networks=LocalNetworks(), connect_timeout=1.0, total_timeout=5.0)
    url = f"{upstream.origin}/v1"
    return OpenAICompatible("openrouter", base_url=url, egress=egress, clearance=Label.INTERNAL), egress


async def test_openrouter_tells_price_vision_and_context_of_what_it_offers() -> None:
    async with ScriptedUpstream(OpenAIDialect(models=LISTING)) as upstream:
        provider, egress = await openrouter(upstream)
        found = catalog({"openrouter": provider}, configured=["openrouter"])
        await found.refresh()
        await egress.close()
    free, dear = (found.view.models[f"openrouter/{name}"] for name in LISTING)
    assert (free.price, free.vision, free.context_length) == (Price(prompt=0, completion=0), True, 32_768)
    assert (dear.price, dear.vision) == (Price(prompt=1e-5, completion=3e-5), False)
    assert found.view.lacks[dear.id] == {"vision"}


@pytest.mark.slow
async def test_a_listing_that_never_comes_is_given_up() -> None:
    """Marked slow: it waits for the time limit of a question about a server itself."""
    async with ScriptedUpstream(OpenAIDialect(), script=lambda _: NoResponse()) as upstream:
        provider, egress = await openrouter(upstream)
        assert await provider.probe() == ProviderStatus(reachable=False)
        await egress.close()
