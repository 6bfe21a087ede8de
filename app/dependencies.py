"""What routers ask for: the services, the caller, the label stated in a header, the edge limit.

All of them are coroutines: FastAPI would hand a plain function to a thread, which costs more than the function.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from app.config import Settings
from app.errors import AuthenticationError, InvalidRequestError, RateLimitedError
from app.limits import EdgeLimit
from app.models import Caller, Label
from app.wiring import Services

HEADER_PREFIX = "x-sluice-"
SENSITIVITY_HEADER = "x-sluice-sensitivity"
ADMIN = Caller(key_id="admin", admin=True)
ANYONE = Caller()


async def get_services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


async def get_caller(connection: HTTPConnection, services: Annotated[Services, Depends(get_services)]) -> Caller:
    """Who asks; raises `AuthenticationError` without a valid key where one is needed."""
    return authenticate(bearer_key(connection.headers), settings=services.settings)


def bearer_key(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer KEY`."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def authenticate(key: str | None, *, settings: Settings) -> Caller:
    """Whose key it is; a wrong one and a missing one raise the same `AuthenticationError` where a key is needed."""
    admin_key = settings.admin_key
    if admin_key and key is not None and hmac.compare_digest(_digest(key), _digest(admin_key.get_secret_value())):
        return ADMIN
    if settings.protected:
        raise AuthenticationError
    return ANYONE


async def get_stated_label(connection: HTTPConnection) -> Label | None:
    """The label in `x-sluice-sensitivity`; a misspelt header or value is refused, never ignored."""
    return read_stated_label(connection.headers)


def read_stated_label(headers: Headers, *, also_known: frozenset[str] = frozenset()) -> Label | None:
    """The strictest label in `x-sluice-sensitivity`; other `x-sluice-*` headers are refused unless `also_known`."""
    stated = None
    for name, value in headers.items():
        if not name.startswith(HEADER_PREFIX) or name in also_known:
            continue
        if name != SENSITIVITY_HEADER:
            known = ", ".join(sorted({SENSITIVITY_HEADER, *also_known}))
            raise InvalidRequestError(f"An x-sluice-* header is not known here; these are: {known}.", param="header")
        try:
            label = Label.parse(value.strip())
        except ValueError as error:
            raise InvalidRequestError(f"{SENSITIVITY_HEADER} {error}", param=SENSITIVITY_HEADER) from None
        stated = label if stated is None else max(stated, label)
    return stated


async def limit_rate(connection: HTTPConnection) -> None:
    """Count the request against its address; raises `RateLimitedError`. Either way the answer says what is left."""
    limit: EdgeLimit = connection.app.state.edge_limit
    allowance = limit.admit(connection)
    if allowance is None:
        return
    connection.state.limit_headers = allowance.headers
    if not allowance.admitted:
        raise RateLimitedError(retry_after=allowance.reset)


def _digest(key: str) -> bytes:
    """Digests have one length, so that comparing them tells nothing of the key's."""
    return hashlib.sha256(key.encode()).digest()


ServicesDep = Annotated[Services, Depends(get_services)]
CallerDep = Annotated[Caller, Depends(get_caller)]
StatedLabelDep = Annotated[Label | None, Depends(get_stated_label)]
EDGE = [Depends(limit_rate)]
