"""What `catalog.toml` says: models, providers, preference lists and strategies."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

from app.errors import ConfigurationError
from app.models import Complexity, Label, Locality, Model, Price
from app.services.cascade import Cascade
from app.services.strategies import Strategy, WeightedSplit

TOKENS_PER_MILLION = 1_000_000

# What a request may need of a model, beside being cleared for it and having the room. `prefill`: to go on from the
# beginning of an answer. `sampling` (temperature, top_p) is a wish: it is left out for models that refuse it. One that
# refuses `streaming` is asked for its answers in one piece.
Ability = Literal["vision", "tools", "json_schema", "choices", "logprobs", "prefill", "sampling", "streaming"]
ABILITIES: frozenset[str] = frozenset(get_args(Ability))

# Their addresses and keys are settings; the file may only say what they lack.
KNOWN_PROVIDERS = frozenset({"anthropic", "builtin", "ollama", "openai", "openrouter"})

MODEL_FIELDS = frozenset(
    {
        "id", "tier", "title", "description", "locality", "clearance", "context_length", "vision", "tools", "sampling",
        "prompt_per_million", "completion_per_million", "lacks",
    }
)  # fmt: skip
# Prices of kinds of tokens, by the field of `Price` that they are.
KIND_FIELDS: Mapping[str, str] = {
    f"{kind}_per_million": kind for kind in ("cached", "cache_write", "image", "audio", "spoken", "reasoning")
}
PROVIDER_FIELDS = frozenset({"name", "base_url", "api_key", "locality", "clearance", "lacks"})
RULES = frozenset({"simple", "moderate", "complex", "long_context", "local"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Whose models these are. With a `base_url` it speaks OpenAI's protocol there, without one litellm knows it.

    `api_key` names the environment variable that holds the key. `locality` and `clearance` are those of its models.
    """

    name: str
    base_url: str | None = None
    api_key: str | None = None
    locality: Locality = Locality.CLOUD
    clearance: Label
    lacks: frozenset[Ability] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile:
    """The file's content. `lacks` says by model id what a model is known not to do."""

    models: tuple[Model, ...] = ()
    providers: tuple[Provider, ...] = ()
    preferences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    cascades: Mapping[str, Cascade] = field(default_factory=dict)
    lacks: Mapping[str, frozenset[Ability]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, *, cloud_clearance: Label) -> Self:
        """Read the file; raises `ConfigurationError` that says what is wrong with it."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"), cloud_clearance=cloud_clearance)
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read as a catalog: {error}") from None

    @classmethod
    def parse(cls, text: str, *, cloud_clearance: Label) -> Self:
        data = tomllib.loads(text)
        _refuse_unknown(data, known={"model", "provider", "preferences", "strategy", "cascade"}, where="the file")
        entries = data.get("model", [])
        providers = tuple(_parse_provider(entry, cloud_clearance=cloud_clearance) for entry in data.get("provider", []))
        by_name = {provider.name: provider for provider in providers}
        return cls(
            models=tuple(_parse_model(entry, providers=by_name, cloud_clearance=cloud_clearance) for entry in entries),
            providers=providers,
            preferences={rule: tuple(names) for rule, names in _by_rule(data, "preferences").items()},
            strategies={rule: _parse_strategy(value) for rule, value in _by_rule(data, "strategy").items()},
            cascades={rule: _parse_cascade(entry) for rule, entry in _by_rule(data, "cascade").items()},
            lacks={entry["id"]: _parse_lacks(entry) | _denied(entry) for entry in entries},
        )


def _parse_provider(entry: Mapping[str, Any], *, cloud_clearance: Label) -> Provider:
    name = entry["name"]
    _refuse_unknown(entry, known=PROVIDER_FIELDS, where=name)
    if name in KNOWN_PROVIDERS and entry.keys() & {"base_url", "api_key", "locality", "clearance"}:
        raise ValueError(f"{name} is configured by settings, its entry may only say what it lacks")
    locality = Locality(entry.get("locality", Locality.CLOUD))
    if locality is Locality.LOCAL and "base_url" not in entry:
        raise ValueError(f"{name} is local, so its entry needs a base_url")
    ceiling = Label.CONFIDENTIAL if locality is Locality.LOCAL else cloud_clearance
    return Provider(
        name=name,
        base_url=entry.get("base_url"),
        api_key=entry.get("api_key"),
        locality=locality,
        clearance=min(ceiling, Label.parse(entry.get("clearance", ceiling.word))),
        lacks=_parse_lacks(entry),
    )


def _parse_model(entry: Mapping[str, Any], *, providers: Mapping[str, Provider], cloud_clearance: Label) -> Model:
    """A model is as local as its entry says, but only where a native adapter speaks to it: else it is cloud."""
    _refuse_unknown(entry, known=MODEL_FIELDS | KIND_FIELDS.keys(), where=entry["id"])
    provider, _, name = entry["id"].partition("/")
    declared = providers.get(provider)
    default = declared.locality if declared else Locality.CLOUD
    locality = Locality(entry.get("locality", default))
    if provider != "ollama" and default is Locality.CLOUD:
        locality = Locality.CLOUD
    ceiling = Label.CONFIDENTIAL if locality is Locality.LOCAL else cloud_clearance
    if declared is not None and provider not in KNOWN_PROVIDERS:
        ceiling = min(ceiling, declared.clearance)
    return Model(
        provider=provider,
        name=name,
        locality=locality,
        clearance=min(ceiling, Label.parse(entry.get("clearance", ceiling.word))),
        tier=Complexity(entry["tier"]) if "tier" in entry else None,
        context_length=entry.get("context_length"),
        vision=entry.get("vision", False),
        tools=entry.get("tools", True),
        price=_parse_price(entry),
        title=entry.get("title"),
        description=entry.get("description", ""),
    )


def _parse_price(entry: Mapping[str, Any]) -> Price | None:
    if "prompt_per_million" not in entry:
        return None
    return Price(
        prompt=entry["prompt_per_million"] / TOKENS_PER_MILLION,
        completion=entry["completion_per_million"] / TOKENS_PER_MILLION,
        **{kind: entry[field] / TOKENS_PER_MILLION for field, kind in KIND_FIELDS.items() if field in entry},
    )


def _parse_strategy(value: object) -> Strategy:
    if value in ("preference", "cheapest", "fastest"):
        return cast("Strategy", value)
    if not isinstance(value, dict) or not value or any(not _is_weight(weight) for weight in value.values()):
        raise ValueError("a strategy is preference, cheapest, fastest or a table of weights by model")
    return WeightedSplit({name: float(weight) for name, weight in value.items()})


def _parse_cascade(entry: Mapping[str, Any]) -> Cascade:
    _refuse_unknown(entry, known={"first", "min_logprob", "min_agreement"}, where="cascade")
    lowest, least = entry.get("min_logprob"), entry.get("min_agreement")
    return Cascade(
        first=str(entry["first"]),
        min_logprob=None if lowest is None else float(lowest),
        min_agreement=None if least is None else float(least),
    )


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _parse_lacks(entry: Mapping[str, Any]) -> frozenset[Ability]:
    named = frozenset(entry.get("lacks", ()))
    if unknown := named - ABILITIES:
        raise ValueError(f"lacks takes {', '.join(sorted(ABILITIES))}, not {', '.join(sorted(unknown))}")
    return cast("frozenset[Ability]", named)


def _denied(entry: Mapping[str, Any]) -> frozenset[Ability]:
    """The abilities that the entry has a switch of its own for, where it is off."""
    switches: tuple[Ability, ...] = ("vision", "tools", "sampling")
    return frozenset(ability for ability in switches if entry.get(ability) is False)


def _by_rule(data: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = data.get(table, {})
    _refuse_unknown(found, known=RULES, where=table)
    return found


def _refuse_unknown(given: Mapping[str, Any], *, known: AbstractSet[str], where: str) -> None:
    """A misspelt word is never ignored: it could be the one that keeps data in."""
    if unknown := given.keys() - known:
        raise ValueError(f"{where} has unknown fields: {', '.join(sorted(unknown))}")
