from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from app.routers.request_headers import IndexedConnection

RAW = [(b"host", b"h"), (b"cache-control", b"no-store"), (b"x-name", b"caf\xe9"), (b"cache-control", b"no-cache")]


@pytest.mark.parametrize("name", ["host", "Host", "cache-control", "X-Name", "authorization"])
def test_indexed_headers_say_what_starlettes_own_say(name: str) -> None:
    scope = {"type": "http", "headers": RAW}
    indexed, own = IndexedConnection(scope).headers, Headers(scope=scope)
    assert (indexed.get(name), indexed.get(name, "none")) == (own.get(name), own.get(name, "none"))
    assert (name in indexed, indexed.getlist(name)) == (name in own, own.getlist(name))
    assert (indexed == own, indexed.items()) == (True, own.items())
    if name in own:
        assert indexed[name] == own[name]
    else:
        with pytest.raises(KeyError):
            indexed[name]
