"""Settings to caches: the exact one, the semantic one, flights and leases, over the store that the engines have."""

from __future__ import annotations

from dataclasses import dataclass

from app.config import Settings
from app.engine_wiring import Engines, new_id, now
from app.protocols import CacheStore
from app.services.cache import AnswerCache, CacheRules
from app.services.cache_tally import CacheTally
from app.services.flights import Flights
from app.services.leases import LeasedCalls
from app.services.purges import Purges
from app.services.reuse import Reuse
from app.services.semantic import SemanticCache
from app.utils.instruments import CACHE_HELD_BYTES
from app.utils.monitoring import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What the pipeline asks (`reuse`), and what operators do with it."""

    reuse: Reuse
    purges: Purges
    tally: CacheTally


def build_caching(settings: Settings, *, engines: Engines, metrics: Metrics) -> Caching:
    purges = Purges(store=engines.cache, secret=engines.secret, make_id=new_id)
    exact = _answers(settings, engines=engines, store=engines.cache, purges=purges)
    deciding = _answers(settings, engines=engines, store=engines.coordination, purges=purges)
    semantic = SemanticCache(store=engines.cache, secret=engines.secret, exact=exact, embedder=engines.embedder)
    tally = CacheTally(metrics=metrics)
    metrics.sample(CACHE_HELD_BYTES, lambda: [((), engines.memory_cache.bytes_held)])
    reuse = Reuse(
        exact=exact,
        semantic=semantic,
        flights=Flights(),
        leased=LeasedCalls(
            store=engines.coordination, cache=deciding, make_id=new_id, is_shared=settings.redis_url is not None
        ),
        tally=tally,
        store=engines.cache,
        secret=engines.secret,
        pause=settings.cache_replay_pause,
    )
    return Caching(reuse=reuse, purges=purges, tally=tally)


def _answers(settings: Settings, *, engines: Engines, store: CacheStore, purges: Purges) -> AnswerCache:
    rules = CacheRules(ttl=settings.cache_ttl, max_temperature=settings.cache_max_temperature)
    return AnswerCache(store=store, secret=engines.secret, rules=rules, purges=purges, clock=now)
