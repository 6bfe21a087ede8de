"""`Cache-Control` of a request: what its client wants of our cache, as HTTP has it (RFC 9111, 5.2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection

from app.models import ChatRequest

DIRECTIVE = re.compile(r"([A-Za-z-]+)(?:=\"?([^\",]*)\"?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """`max_age` is in seconds, `None` for any age."""

    no_store: bool = False
    no_cache: bool = False
    max_age: int | None = None

    def restrict(self, request: ChatRequest) -> ChatRequest:
        """The request with no more of the cache than both its body and its header allow."""
        if self == ANY:
            return request
        use = request.cache
        read = use.read and not (self.no_store or self.no_cache)
        return replace(
            request, cache=replace(use, read=read, write=use.write and not self.no_store, max_age=self.max_age)
        )


ANY = Freshness()


async def read_freshness(connection: HTTPConnection) -> Freshness:
    """Directives that are not known are ignored, and an age that cannot be read is none at all (RFC 9111, 4.2.1)."""
    header = ",".join(connection.headers.getlist("cache-control"))
    if not header:
        return ANY
    given = {name.lower(): value for name, value in DIRECTIVE.findall(header)}
    max_age = given.get("max-age")
    return Freshness(
        no_store="no-store" in given,
        no_cache="no-cache" in given,
        max_age=None if max_age is None else int(max_age) if re.fullmatch(r"[0-9]{1,10}", max_age) else 0,
    )
