"""The headers of a request that is asked for many of them."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope


class IndexedHeaders(Headers):
    """Starlette's own are looked through anew for each name."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._index = dict(reversed(self._list))  # the first of several, as with Starlette's

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower().encode("latin-1") in self._index

    def __getitem__(self, key: str) -> str:
        return self._index[key.lower().encode("latin-1")].decode("latin-1")

    def get(self, key: str, default: Any = None, /) -> Any:
        value = self._index.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def getlist(self, key: str) -> list[str]:
        return super().getlist(key) if key in self else []


class IndexedConnection(HTTPConnection):
    """A connection whose headers are indexed once."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._indexed = IndexedHeaders(scope)

    @property
    def headers(self) -> Headers:
        return self._indexed
