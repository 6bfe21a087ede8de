"""The models there are: the catalog file, what the operator named, and what the providers report."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from app.errors import UnknownModelError
from app.models import Label, Locality, Model, Price
from app.protocols import ChatProvider, ProviderStatus
from app.services.cascade import Cascade
from app.services.catalog_file import Ability, CatalogFile, Provider
from app.services.health import Health, HealthView
from app.services.strategies import Strategy

Entry = TypeVar("Entry")

OLLAMA = "ollama"
LATEST = ":latest"
FREE = Price(prompt=0.0, completion=0.0)

# Ollama is asked at every refresh: models are pulled and removed by hand. A long list in a cloud changes slowly.
LISTING_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogView:
    """The catalog at one moment: what the router decides on.

    `available` holds the ids of the models that can be called now: their provider is configured and, for Ollama,
    answers and has the model. `builtin` is the model that needs no server; `builtin_only` says that no provider is
    configured and no local server answers. `lacks` is what a model is known not to do, by id. `stated_only` are models
    of which only a cloud provider's long list knows, so they are never chosen unasked; `unlisted` those that their own
    provider's list does not have, so they are tried last. `status` is whether each provider that is asked answers.
    `fingerprint` is the digest of what decides which model answers, as part of the cache's key; `revision`
    tells apart the views of one process, but for their health.
    """

    models: Mapping[str, Model]
    builtin: Model
    available: frozenset[str]
    preferences: Mapping[str, tuple[str, ...]]
    builtin_only: bool
    status: Mapping[str, bool] = field(default_factory=dict)
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    cascades: Mapping[str, Cascade] = field(default_factory=dict)
    lacks: Mapping[str, frozenset[Ability]] = field(default_factory=dict)
    stated_only: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    health: HealthView = field(default_factory=HealthView)
    fingerprint: str = ""
    revision: int = 0

    def find(self, name: str) -> Model | None:
        """The model of this id; a bare name finds one if exactly one provider has it."""
        tagged = f"{name}{LATEST}"
        model = self.models.get(name) or self.models.get(tagged)
        if model is not None:
            return model
        matches = [model for model in self.models.values() if model.name in (name, tagged)]
        callable_now = [model for model in matches if model.id in self.available]
        return next((found[0] for found in (matches, callable_now) if len(found) == 1), None)

    def resolve(self, name: str) -> Model:
        """The model of this name as a caller states it; raises `UnknownModelError` if `find` finds none."""
        model = self.find(name)
        if model is None:
            raise UnknownModelError(param="model")
        return model

    def answers(self, model: Model) -> bool:
        """Whether the model can be called now and its provider, as far as it was asked, says so too."""
        return model.id in self.available and self.status.get(model.provider, True)

    def chats(self, name: str) -> bool:
        """Whether the name is that of a model that the file or a setting has prompts answered by."""
        model = self.find(name)
        return model is not None and (model.tier is not None or model.id in self._preferred())

    def _preferred(self) -> frozenset[str]:
        return frozenset(name for names in self.preferences.values() for name in names)

    def digest(self) -> str:
        """What decides which model answers, in short."""
        choices = (self.preferences, self.strategies, self.cascades)
        parts = [*sorted(self.available), *(repr(sorted(choice.items())) for choice in choices), str(self.builtin_only)]
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
        health: Health,
        monotonic: Callable[[], float],
    ) -> None:
        self._file = file
        self._declared = {provider.name: provider for provider in file.providers}
        self._builtin = builtin
        self._named = {rule: tuple(names) for rule, names in preferences.items() if names}
        self._providers = providers
        self._configured = configured
        self._cloud_clearance = cloud_clearance
        self._health = health
        self._monotonic = monotonic
        self._status: dict[str, ProviderStatus] = {}
        self._asked: dict[str, float] = {}
        self._revisions = count(1)
        self._view = self._build()

    @property
    def view(self) -> CatalogView:
        return replace(self._view, health=self._health.view)

    async def refresh(self) -> None:
        """Ask every provider whose answer has aged how it is; the view follows each answer as it comes."""
        await asyncio.gather(*(self._ask(name) for name in self._providers if self._is_due(name)))

    async def keep_fresh(self, *, every: float) -> None:
        """Refresh for ever, `every` so many seconds."""
        while True:
            await asyncio.sleep(every)
            await self.refresh()

    def _is_due(self, name: str) -> bool:
        known = self._status.get(name)
        if name == OLLAMA or known is None or not known.reachable:
            return True
        return self._monotonic() - self._asked[name] >= LISTING_SECONDS

    async def _ask(self, name: str) -> None:
        status = await self._providers[name].probe()
        known = self._status.get(name)
        if status.models is None and known is not None:
            # Its models have not ceased to exist because it does not answer.
            status = replace(status, models=known.models)
        self._asked[name] = self._monotonic()
        if status != known:
            self._status[name] = status
            self._view = self._build()

    def _build(self) -> CatalogView:
        models = self._known_models()
        unlisted, stated_only = self._judge_listings(models)
        named = self._named_ids(models)
        view = CatalogView(
            models=models,
            builtin=self._builtin,
            available=frozenset(model.id for model in models.values() if self._is_callable(model) or model.id in named),
            preferences={**self._file.preferences, **self._named},
            builtin_only=not self._configured and not self._reaches(OLLAMA),
            status={name: answer.reachable for name, answer in self._status.items()},
            strategies=self._file.strategies,
            cascades=self._file.cascades,
            lacks={model.id: self._lacking(model) for model in models.values()},
            stated_only=stated_only - named,
            unlisted=unlisted - named,
        )
        return replace(view, fingerprint=view.digest(), revision=next(self._revisions))

    def _known_models(self) -> dict[str, Model]:
        models = {model.id: model for model in self._file.models}
        for name, answer in self._status.items():
            reported = {model.id: _merge(model, known=_entry_of(model, models)) for model in answer.models or ()}
            if name == OLLAMA and answer.reachable:
                # What is pulled is known: entries of the file for models that are not there are not models here.
                models = {key: model for key, model in models.items() if model.provider != OLLAMA}
            models.update(reported)
        models[self._builtin.id] = self._builtin
        for name in self._all_named():
            self._add_named(models, name)
        return models

    def _add_named(self, models: dict[str, Model], name: str) -> None:
        """A name in a `MODEL_*` setting is a model even if neither the file nor a provider knows it."""
        known = {model.name for model in models.values()} | set(models)
        if name in known or f"{name}{LATEST}" in known:
            return
        provider, slash, rest = name.partition("/")
        if not slash:
            provider, rest = OLLAMA, name
        if provider == OLLAMA and self._reaches(OLLAMA):
            return  # its tags say that it is not there
        # Where nobody has vouched for the provider it counts as cloud.
        vouched = self._declared.get(provider) or Provider(name=provider, clearance=self._cloud_clearance)
        model = Model(
            provider=provider,
            name=rest,
            locality=vouched.locality,
            clearance=vouched.clearance,
        )
        models[model.id] = model

    def _judge_listings(self, models: Mapping[str, Model]) -> tuple[frozenset[str], frozenset[str]]:
        """The ids that their provider's list lacks, and those only a list knows while the file has others of it."""
        unlisted: set[str] = set()
        stated_only: set[str] = set()
        for name, answer in self._status.items():
            listed = {model.id for model in answer.models or ()}
            if name == OLLAMA or not listed:
                continue
            in_file = {model.id for model in self._file.models if model.provider == name}
            unlisted |= in_file - listed
            if in_file & listed:
                stated_only |= {key for key in listed - in_file if models[key].locality is Locality.CLOUD}
        return frozenset(unlisted), frozenset(stated_only)

    def _lacking(self, model: Model) -> frozenset[Ability]:
        """What the model is known not to do; a list of bare names says nothing of what they can."""
        declared = self._declared.get(model.provider)
        lacks = (_entry_of(model, self._file.lacks) or frozenset()) | (declared.lacks if declared else frozenset())
        if not _tells_abilities(model):
            return lacks
        lacks -= {"vision", "tools"}
        can: Mapping[Ability, bool] = {"vision": model.vision, "tools": model.tools}
        return lacks | {ability for ability, able in can.items() if not able}

    def _is_callable(self, model: Model) -> bool:
        if model.provider == OLLAMA:
            return self._reaches(OLLAMA)
        return model.provider in self._configured or model == self._builtin

    def _named_ids(self, models: Mapping[str, Model]) -> frozenset[str]:
        """Models of the `MODEL_*` settings: the operator says that they are there. Ollama says that itself."""
        names = set(self._all_named())
        return frozenset(
            model.id
            for model in models.values()
            if model.provider != OLLAMA and (model.id in names or model.name in names)
        )

    def _all_named(self) -> Iterator[str]:
        return (name for names in self._named.values() for name in names)

    def _reaches(self, provider: str) -> bool:
        status = self._status.get(provider)
        return status is not None and status.reachable


def _tells_abilities(model: Model) -> bool:
    """Whether what the model says of its abilities was said by someone: Ollama does, and lists that give prices do."""
    return model.provider == OLLAMA or (model.price is not None and model.locality is Locality.CLOUD)


def _entry_of(model: Model, entries: Mapping[str, Entry]) -> Entry | None:
    """What the file has for a reported model; Ollama lists with a tag what everybody writes without."""
    return entries.get(model.id) or entries.get(model.id.removesuffix(LATEST))


def _merge(reported: Model, *, known: Model | None) -> Model:
    """What a provider reports, with what only the file knows filled in. Local models cost nothing."""
    if reported.price is None and reported.locality is Locality.LOCAL:
        reported = replace(reported, price=FREE)
    if known is None:
        return reported
    tells = _tells_abilities(reported)
    return replace(
        reported,
        clearance=min(reported.clearance, known.clearance),
        tier=known.tier,
        context_length=reported.context_length or known.context_length,
        vision=reported.vision if tells else known.vision,
        tools=reported.tools if tells else known.tools,
        price=reported.price or known.price,
        title=known.title or reported.title,
        description=known.description or reported.description,
    )
