"""The catalog as it is shipped: its shape, its prices and its preferences."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.models import Complexity, Label, Locality, Model
from app.services.catalog_file import KIND_FIELDS, CatalogFile
from scripts.build_catalog import refresh

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "catalog.toml"
ENTRY_TYPES: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "tier": str,
    "title": str,
    "description": str,
    "locality": str,
    "context_length": int,
    "vision": bool,
    "tools": bool,
    "sampling": bool,
    "prompt_per_million": (int, float),
    "completion_per_million": (int, float),
}
LOCAL_PROVIDERS = {"ollama"}
LONG_CONTEXT = 900_000
LONGEST_DESCRIPTION = 80


@pytest.fixture(name="entries", scope="module")
def fixture_entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads(PATH.read_text(encoding="utf-8"))["model"]
    return entries


@pytest.fixture(name="catalog", scope="module")
def fixture_catalog() -> CatalogFile:
    return CatalogFile.load(PATH, cloud_clearance=Label.INTERNAL)


@pytest.fixture(name="models", scope="module")
def fixture_models(catalog: CatalogFile) -> dict[str, Model]:
    return {model.id: model for model in catalog.models}


def dollars(model: Model) -> float:
    """The price of one token in and one token out."""
    assert model.price is not None
    return model.price.prompt + model.price.completion


def test_every_entry_has_exactly_the_known_fields(entries: list[dict[str, Any]]) -> None:
    """A misspelt or missing field of a model does not go unnoticed."""
    wrong = [
        entry["id"]
        for entry in entries
        if entry.keys() - {"lacks"} - KIND_FIELDS.keys() != ENTRY_TYPES.keys()
        or any(not isinstance(entry[name], kind) for name, kind in ENTRY_TYPES.items())
    ]
    assert wrong == []


def test_ids_are_unique_and_name_a_provider(entries: list[dict[str, Any]]) -> None:
    """An id is `provider/name` and stands once."""
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not all(name.split("/")) or "/" not in name] == []


def test_titles_are_unique_and_descriptions_short(entries: list[dict[str, Any]]) -> None:
    """A list of models can be shown: no two look the same, and each is described in one short line."""
    titles = [entry["title"] for entry in entries]
    assert len(set(titles)) == len(titles)
    assert [entry["id"] for entry in entries if not 0 < len(entry["description"]) <= LONGEST_DESCRIPTION] == []


def test_only_ollama_is_local_and_none_of_its_cloud_models(models: dict[str, Model]) -> None:
    """Nothing that leaves the operator's network is declared local, whatever it is reached through."""
    local = {model.id for model in models.values() if model.locality is Locality.LOCAL}
    assert local == {
        model.id
        for model in models.values()
        if model.provider in LOCAL_PROVIDERS and not model.name.lower().endswith((":cloud", "-cloud"))
    }


def test_no_cloud_model_is_cleared_for_confidential_text(models: dict[str, Model]) -> None:
    """The file cannot lift a cloud model above what the operator allows cloud models."""
    assert {model.clearance for model in models.values() if model.locality is Locality.CLOUD} == {Label.INTERNAL}


def test_prices_are_plausible(models: dict[str, Model]) -> None:
    """Local models cost nothing; a cloud model costs between nothing and 100 dollars for a million tokens each way."""
    for model in models.values():
        assert model.price is not None, model.id
        if model.locality is Locality.LOCAL:
            assert dollars(model) == 0, model.id
        else:
            assert 0 < model.price.prompt <= model.price.completion < 100 / 1_000_000, model.id


def test_every_tier_has_local_and_cloud_models(models: dict[str, Model]) -> None:
    """A prompt of any difficulty has a model, also when it may not leave the network."""
    assert {(model.tier, model.locality) for model in models.values()} == {
        (tier, locality) for tier in Complexity for locality in Locality
    }


def test_every_preference_is_a_model_of_the_catalog(catalog: CatalogFile, models: dict[str, Model]) -> None:
    """There is a list for every rule, without repeats, and each name in it resolves."""
    assert set(catalog.preferences) == {"simple", "moderate", "complex", "long_context"}
    for names in catalog.preferences.values():
        assert len(set(names)) == len(names)
        assert set(names) <= models.keys()


def test_every_preference_list_serves_whoever_has_one_common_key(catalog: CatalogFile) -> None:
    """With a key of OpenAI, Anthropic, Google or OpenRouter alone there is a model for every rule."""
    for rule, names in catalog.preferences.items():
        providers = {name.partition("/")[0] for name in names}
        assert providers >= {"openai", "gemini", "openrouter", "anthropic"}, rule


def test_the_simple_list_is_cheapest_first(catalog: CatalogFile, models: dict[str, Model]) -> None:
    """Simple prompts go to the cheapest model there is a key for."""
    prices = [dollars(models[name]) for name in catalog.preferences["simple"]]
    assert prices == sorted(prices)


def test_long_context_models_take_long_prompts(catalog: CatalogFile, models: dict[str, Model]) -> None:
    """Every model of the long-context list takes 900,000 tokens or more."""
    lengths = {name: models[name].context_length or 0 for name in catalog.preferences["long_context"]}
    assert {name: length for name, length in lengths.items() if length < LONG_CONTEXT} == {}


TABLE = {
    "claude-new-1-5": {
        "max_input_tokens": 1000,
        "input_cost_per_token": 1.1e-06,
        "output_cost_per_token": 5e-06,
        "supports_vision": True,
        "supports_sampling_params": False,
    },
    "gpt-7": {"max_input_tokens": 2000, "input_cost_per_token": 0, "output_cost_per_token": 1e-07},
}


def test_a_new_entry_gets_its_facts_from_the_table() -> None:
    """An id alone is enough: what the table knows of it, also by OpenRouter's spelling of the name, is filled in."""
    entry = '[[model]]\nid = "openrouter/anthropic/claude-new-1.5"\ntitle = "New"\n'
    text = f"# a comment\n\n{entry}\n[preferences]\nsimple = []\n"
    filled = refresh(text, TABLE)
    assert tomllib.loads(filled)["model"] == [
        {
            "id": "openrouter/anthropic/claude-new-1.5",
            "title": "New",
            "locality": "cloud",
            "context_length": 1000,
            "vision": True,
            "tools": False,
            "sampling": False,
            "prompt_per_million": 1.1,
            "completion_per_million": 5,
        }
    ]
    assert filled.startswith("# a comment\n")
    assert refresh(filled, TABLE) == filled


def test_a_reasoning_model_that_says_nothing_about_it_takes_no_temperature() -> None:
    """OpenAI's reasoning models refuse a temperature unless they do not reason by default."""
    text = '[[model]]\nid = "openai/gpt-7"\n'
    willing = {"gpt-7": {**TABLE["gpt-7"], "default_reasoning_effort": "none"}}
    assert tomllib.loads(refresh(text, TABLE))["model"][0]["sampling"] is False
    assert tomllib.loads(refresh(text, willing))["model"][0]["sampling"] is True


def test_the_entry_of_a_local_model_is_left_as_it_is() -> None:
    """What is known of Ollama's models was written by hand and is not in the table."""
    text = '[[model]]\nid = "ollama/some"\ncontext_length = 7\n\n'
    assert refresh(text, TABLE) == text


def test_the_facts_agree_with_the_price_table() -> None:
    """Context, abilities and prices of the cloud models are those of the pinned litellm's local table."""
    script = ROOT / "scripts" / "build_catalog.py"
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
