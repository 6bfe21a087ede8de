"""The last decisions: what was asked under which label, who answered, what it took. Names and numbers, never text."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from app.models import Usage

LENGTH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One request that is over, however it ended; times are in seconds, `cost` in US dollars."""

    time: datetime
    request_id: str
    tenant: str
    label: str
    raised_by: tuple[str, ...]
    rule: str | None
    model: str | None
    outcome: str
    cached: bool
    seconds: float
    first_token_seconds: float | None
    usage: Usage | None
    cost: float | None


class Decisions:
    """A ring in the memory of this process: each worker has its own, and a restart empties it."""

    def __init__(self, *, length: int = LENGTH) -> None:
        self._ring: deque[Decision] = deque(maxlen=length)

    def add(self, decision: Decision) -> None:
        """Take in a decision; the oldest one makes room for it."""
        self._ring.append(decision)

    def newest(self, limit: int, *, tenant: str | None) -> list[Decision]:
        """At most `limit` decisions, newest first; of this tenant, or of all for `None`."""
        return list(islice((each for each in reversed(self._ring) if tenant in (None, each.tenant)), limit))
