"""What is known of one Ollama server's models, and which of them may be taken for local."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

from app.egress import Egress
from app.errors import (
    RemoteModelError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamModelNotFoundError,
    UpstreamUnavailableError,
)
from app.models import Locality
from app.providers.failures import failure
from app.providers.ollama.facts import UNKNOWN, ModelFacts, has_cloud_name, read_facts, tagged
from app.providers.wire import decode, encode, objects_at, text_at

# For so long a model that was seen to be local is not asked about again before it is sent something.
CONFIRMED_SECONDS = 30.0


class Inventory:
    """Asks the server at `base_url` about its models and remembers what it says.

    `quarantined` holds the names of models that were taken for local ones and turned out to run elsewhere: they are
    sent nothing as local models until the process ends.
    """

    def __init__(self, *, base_url: str, egress: Egress, monotonic: Callable[[], float]) -> None:
        self._base_url = base_url
        self._egress = egress
        self._monotonic = monotonic
        self._quarantined: set[str] = set()
        self._by_digest: dict[tuple[str, str], ModelFacts] = {}
        self._confirmed: dict[str, tuple[float, ModelFacts]] = {}

    @property
    def quarantined(self) -> frozenset[str]:
        return frozenset(self._quarantined)

    def quarantine(self, name: str) -> None:
        self._quarantined.add(tagged(name))

    def runs_here(self, name: str, *, facts: ModelFacts) -> bool:
        """Whether the model runs on the server itself, by its name, by what the server says and by what was seen."""
        return not (facts.remote or has_cloud_name(name) or tagged(name) in self._quarantined)

    async def pulled(self, *, locality: Locality) -> Sequence[tuple[str, str]] | None:
        """Names and digests of the pulled models; `None` if the server does not say."""
        found = await self._egress.ask(f"{self._base_url}/api/tags", locality=locality)
        if found is None or found.status != HTTPStatus.OK:
            return None
        try:
            entries = objects_at(decode(found.body), "models")
        except UpstreamBrokenError:
            return None
        return [(text_at(entry, "model") or text_at(entry, "name"), text_at(entry, "digest")) for entry in entries]

    async def facts(self, name: str, *, digest: str, locality: Locality) -> ModelFacts:
        """What the server says of the model, `UNKNOWN` if it does not; a digest names content that does not change."""
        known = self._by_digest.get((name, digest))
        if known is None:
            try:
                known = await self._ask(name, locality=locality)
            except UpstreamError:
                return UNKNOWN
            self._by_digest[name, digest] = known
        return known

    async def confirm_local(self, name: str) -> ModelFacts:
        """What the server says of a model that is to be sent something as a local one; unknown is not local.

        Raises `RemoteModelError` for a model that runs elsewhere, or the `UpstreamError` of a server that fails.
        """
        full = tagged(name)
        until, facts = self._confirmed.get(full, (0.0, UNKNOWN))
        if self._monotonic() >= until:
            facts = await self._ask(name, locality=Locality.LOCAL)
            self._confirmed[full] = (self._monotonic() + CONFIRMED_SECONDS, facts)
        if not self.runs_here(name, facts=facts):
            self.quarantine(name)
            raise RemoteModelError
        return facts

    async def _ask(self, name: str, *, locality: Locality) -> ModelFacts:
        found = await self._egress.ask(f"{self._base_url}/api/show", locality=locality, body=encode({"model": name}))
        if found is None:
            raise UpstreamUnavailableError
        if found.status == HTTPStatus.NOT_FOUND:
            raise UpstreamModelNotFoundError
        if found.status != HTTPStatus.OK:
            raise failure(status=found.status)
        return read_facts(decode(found.body))
