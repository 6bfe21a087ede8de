"""What the cache does for whom: counts by tenant and label, without a word of any text."""

from __future__ import annotations

from dataclasses import dataclass, fields

from app.models import Label
from app.services.cache_entries import Entry
from app.utils import instruments
from app.utils.monitoring import Metrics

# A tenant beyond these is counted with the others that came late, under no name.
MOST_PARTITIONS = 1000
OTHERS = None


@dataclass(slots=True)
class Counts:
    """Of one partition since this process began. `saved_usd` leaves out answers of models whose price is unknown."""

    lookups: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    shared_calls: int = 0
    kept: int = 0
    kept_bytes: int = 0
    saved_usd: float = 0.0
    saved_seconds: float = 0.0

    @property
    def hit_rate(self) -> float:
        """Answers without a call of their own among all that asked, 0 to 1."""
        return (self.exact_hits + self.semantic_hits + self.shared_calls) / self.lookups if self.lookups else 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


class CacheTally:
    """Counts hits, shared calls and what they saved, for `GET /cache` and for the metrics."""

    def __init__(self, *, metrics: Metrics) -> None:
        self._lookups = metrics.counter(instruments.CACHE_LOOKUPS).of()
        self._hits = metrics.counter(instruments.CACHE_HITS)
        self._kept_bytes = metrics.counter(instruments.CACHE_KEPT_BYTES).of()
        self._saved_usd = metrics.counter(instruments.CACHE_SAVED_USD).of()
        self._saved_seconds = metrics.counter(instruments.CACHE_SAVED_SECONDS).of()
        self.partitions: dict[tuple[str | None, Label], Counts] = {}

    def of(self, tenant: str, label: Label) -> Counts:
        counts = self.partitions.get((tenant, label))
        if counts is None:
            key = (tenant if len(self.partitions) < MOST_PARTITIONS else OTHERS, label)
            counts = self.partitions.setdefault(key, Counts())
        return counts

    def count_lookup(self, counts: Counts) -> None:
        counts.lookups += 1
        self._lookups.inc()

    def count_hit(self, counts: Counts, entry: Entry, *, semantic: bool) -> None:
        """An answer from the cache, which saved the money and the time of the call that it is from."""
        cost = entry.answer.cost or 0.0
        counts.semantic_hits += semantic
        counts.exact_hits += not semantic
        counts.saved_usd += cost
        counts.saved_seconds += entry.seconds
        self._hits.of("semantic" if semantic else "exact").inc()
        self._saved_usd.inc(cost)
        self._saved_seconds.inc(entry.seconds)

    def count_shared(self, counts: Counts) -> None:
        """A request that took part in the call of another one."""
        counts.shared_calls += 1
        self._hits.of("flight").inc()

    def count_kept(self, counts: Counts, *, size: int) -> None:
        counts.kept += 1
        counts.kept_bytes += size
        self._kept_bytes.inc(size)
