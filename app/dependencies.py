"""What routers ask for: the services, the caller, the label stated in a header, the edge limit."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request, Response

from app.errors import AuthenticationError, InvalidRequestError
from app.models import Caller, Label
from app.wiring import Services

HEADER_PREFIX = "x-sluice-"
SENSITIVITY_HEADER = "x-sluice-sensitivity"
ADMIN = Caller(key_id="admin", admin=True)
ANYONE = Caller()


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def get_caller(request: Request, services: Annotated[Services, Depends(get_services)]) -> Caller:
    """Who asks; raises `AuthenticationError` without a valid key where one is needed."""
    settings = services.settings
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if settings.admin_key is not None and scheme.lower() == "bearer":
        if hmac.compare_digest(_digest(key.strip()), _digest(settings.admin_key.get_secret_value())):
            return ADMIN
        if settings.protected:
            raise AuthenticationError
    if settings.protected:
        raise AuthenticationError
    return ANYONE


def get_stated_label(request: Request) -> Label | None:
    """The label in `x-sluice-sensitivity`; a misspelt header or value is refused, never ignored."""
    stated = None
    for name, value in request.headers.items():
        if not name.startswith(HEADER_PREFIX):
            continue
        if name != SENSITIVITY_HEADER:
            raise InvalidRequestError("An x-sluice-* header is not known; x-sluice-sensitivity is.", param="header")
        try:
            label = Label.parse(value.strip())
        except ValueError as error:
            raise InvalidRequestError(f"{SENSITIVITY_HEADER} {error}", param=SENSITIVITY_HEADER) from None
        stated = label if stated is None else max(stated, label)
    return stated


def limit_rate(request: Request, response: Response, services: Annotated[Services, Depends(get_services)]) -> None:
    """Count the request against its address; raises `RateLimitedError`."""
    allowance = services.edge_limit.admit(request)
    if allowance is not None:
        request.state.limit_headers = allowance.headers


def _digest(key: str) -> bytes:
    """Digests have one length, so that comparing them tells nothing of the key's."""
    return hashlib.sha256(key.encode()).digest()


ServicesDep = Annotated[Services, Depends(get_services)]
CallerDep = Annotated[Caller, Depends(get_caller)]
StatedLabelDep = Annotated[Label | None, Depends(get_stated_label)]
EDGE = [Depends(limit_rate)]
