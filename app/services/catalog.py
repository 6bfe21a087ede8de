"""The models there are: the catalog file, what the operator named, and what the providers report."""

from __future__ import annotations

import asyncio
import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError, UnknownModelError
from app.models import Complexity, Label, Locality, Model, Price
from app.protocols import ChatProvider, ProviderStatus

OLLAMA = "ollama"
TOKENS_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """What `catalog.toml` says: models, and preference lists by rule."""

    models: tuple[Model, ...]
    preferences: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, path: Path, *, cloud_clearance: Label) -> CatalogFile:
        """Read the file; raises `ConfigurationError` that says which entry is wrong."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            models = tuple(_parse_model(entry, cloud_clearance=cloud_clearance) for entry in data.get("model", ()))
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read as a catalog: {error}") from None
        preferences = {rule: tuple(names) for rule, names in data.get("preferences", {}).items()}
        return cls(models, preferences)


def _parse_model(entry: Mapping[str, Any], *, cloud_clearance: Label) -> Model:
    provider, _, name = entry["id"].partition("/")
    locality = Locality(entry.get("locality", Locality.CLOUD))
    ceiling = Label.CONFIDENTIAL if locality is Locality.LOCAL else cloud_clearance
    clearance = Label.parse(entry["clearance"]) if "clearance" in entry else ceiling
    return Model(
        provider=provider,
        name=name,
        locality=locality,
        clearance=min(clearance, ceiling),
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
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogView:
    """The catalog at one moment: what the router decides on.

    `available` holds the ids of the models that can be called now: their provider is configured and, for Ollama,
    answers and has the model. `builtin` is the model that needs no server; `builtin_only` says that no provider is configured and no local server answers.
    """

    models: Mapping[str, Model]
    builtin: Model
    available: frozenset[str]
    preferences: Mapping[str, tuple[str, ...]]
    builtin_only: bool
    status: Mapping[str, bool] = field(default_factory=dict)

    def find(self, name: str) -> Model | None:
        """The model of this id; a bare name finds one if exactly one provider has it."""
        tagged = f"{name}:latest"
        model = self.models.get(name) or self.models.get(tagged)
        if model is not None:
            return model
        matches = [model for model in self.models.values() if model.name in (name, tagged)]
        return matches[0] if len(matches) == 1 else None

    def resolve(self, name: str) -> Model:
        """The model of this name as a caller states it; raises `UnknownModelError` if `find` finds none."""
        model = self.find(name)
        if model is None:
            raise UnknownModelError(param="model")
        return model

    @property
    def fingerprint(self) -> str:
        """A digest of what decides which model answers, as part of the cache's key."""
        parts = [*sorted(self.available), repr(sorted(self.preferences.items())), str(self.builtin_only)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Catalog:
    """Keeps the current view: the file and the settings are read once, the providers are asked again and again."""

    def __init__(
        self,
        *,
        file: CatalogFile,
        builtin: Model,
        preferences: Mapping[str, Sequence[str]],
        providers: Mapping[str, ChatProvider],
        configured: frozenset[str],
        cloud_clearance: Label,
    ) -> None:
        self._file = file
        self._builtin = builtin
        self._named = {rule: tuple(names) for rule, names in preferences.items() if names}
        self._providers = providers
        self._configured = configured
        self._cloud_clearance = cloud_clearance
        self._status: dict[str, ProviderStatus] = {}
        self.view = self._build({})

    async def refresh(self) -> None:
        """Ask every provider how it is; the view follows each answer as it comes."""
        await asyncio.gather(*(self._ask(name) for name in self._providers))

    async def _ask(self, name: str) -> None:
        self._status[name] = await self._providers[name].probe()
        self.view = self._build(self._status)

    async def keep_fresh(self, *, every: float) -> None:
        """Refresh for ever, `every` so many seconds."""
        while True:
            await asyncio.sleep(every)
            await self.refresh()

    def _build(self, status: Mapping[str, ProviderStatus]) -> CatalogView:
        models = {model.id: model for model in self._file.models}
        for name, answer in status.items():
            if name == OLLAMA and answer.reachable:
                # What is pulled is known: entries of the file for models that are not there are not models here.
                models = {key: model for key, model in models.items() if model.provider != OLLAMA}
            models.update(_merged(models, reported=answer.models or ()))
        models[self._builtin.id] = self._builtin
        preferences = {**self._file.preferences, **self._named}
        ollama_known = OLLAMA in status and status[OLLAMA].reachable
        for name in (name for names in self._named.values() for name in names):
            self._add_named(models, name, ollama_known=ollama_known)
        local_answers = any(answer.reachable for name, answer in status.items() if name == OLLAMA)
        builtin_only = not self._configured and not local_answers
        return CatalogView(
            models=models,
            builtin=self._builtin,
            available=frozenset(self._callable(models.values(), status=status)),
            preferences=preferences,
            builtin_only=builtin_only,
            status={name: answer.reachable for name, answer in status.items()},
        )

    def _add_named(self, models: dict[str, Model], name: str, *, ollama_known: bool) -> None:
        """A name in a `MODEL_*` setting is a model even if neither the file nor a provider knows it."""
        known = {model.name for model in models.values()} | set(models)
        if name in known or f"{name}:latest" in known:
            return
        provider, slash, rest = name.partition("/")
        if not slash:
            provider, rest = OLLAMA, name
        if provider == OLLAMA and ollama_known:
            return  # its tags say that it is not there
        # Nobody has vouched for where it runs, so it counts as cloud.
        model = Model(
            provider=provider, name=rest, locality=Locality.CLOUD, clearance=self._cloud_clearance, vision=True
        )
        models[model.id] = model

    def _callable(self, models: Iterable[Model], *, status: Mapping[str, ProviderStatus]) -> Iterable[str]:
        named = {name for names in self._named.values() for name in names}
        for model in models:
            if model.provider == OLLAMA:
                reported = status.get(OLLAMA)
                if reported is not None and reported.reachable:
                    yield model.id
            elif model.provider in self._configured or model.id in named or model == self._builtin:
                yield model.id


def _merged(models: Mapping[str, Model], *, reported: Iterable[Model]) -> dict[str, Model]:
    """Reported models, with what only the file knows of them filled in."""
    merged = {}
    for model in reported:
        known = models.get(model.id)
        if known is not None:
            model = replace(  # noqa: PLW2901  (the merged value takes the place of the reported one)
                model,
                clearance=min(model.clearance, known.clearance),
                tier=known.tier,
                context_length=model.context_length or known.context_length,
                vision=model.vision or known.vision,
                price=known.price if model.price is None else model.price,
                title=known.title or model.title,
                description=known.description or model.description,
            )
        merged[model.id] = model
    return merged
