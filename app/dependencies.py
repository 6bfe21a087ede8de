"""What routers ask for: the services, the caller, the label stated in a header, the edge limit.

All of them are coroutines: FastAPI would hand a plain function to a thread, which costs more than the function.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from app.errors import InvalidRequestError, RateLimitedError, ScopeError
from app.limits import EdgeLimit, address_of, limit_headers
from app.models import Allowance, Caller, Label, Scope
from app.services.admission import Admission
from app.wiring import Services

HEADER_PREFIX = b"x-sluice-"
SENSITIVITY_HEADER = "x-sluice-sensitivity"


async def get_services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


class Permission:
    """Finds out who asks, and whether it may: the dependency of every endpoint that is not open to all.

    Raises `AuthenticationError` without a valid key where one is needed, `ScopeError`, and `RateLimitedError` beyond
    the caller's limits, unless the pipeline counts. `None` asks for no scope.
    """

    def __init__(self, scope: Scope | None, *, pipeline_counts: bool = False) -> None:
        self.scope = scope
        self._pipeline_counts = pipeline_counts

    async def __call__(
        self, connection: HTTPConnection, services: Annotated[Services, Depends(get_services)]
    ) -> Caller:
        caller = await services.authenticator.identify(bearer_key(connection.headers))
        connection.scope["state"]["tenant"] = caller.tenant
        require(self.scope, caller=caller)
        if not self._pipeline_counts:
            await _count(connection, caller=caller, admission=services.admission)
        return caller


async def _count(connection: HTTPConnection, *, caller: Caller, admission: Admission) -> None:
    reservation = await admission.count(caller)
    if reservation is not None:
        connection.scope["state"]["limit_headers"] = limit_headers(reservation.allowance)
        reservation.refuse_excess()


def require(scope: Scope | None, *, caller: Caller) -> None:
    """Raise `ScopeError` if the caller lacks the scope."""
    if scope is not None and scope not in caller.scopes:
        raise ScopeError(scope.value)


def bearer_key(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer KEY`, as OpenAI's clients send it, or in `x-api-key`, as Anthropic's do."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


async def get_stated_label(connection: HTTPConnection) -> Label | None:
    """The label in `x-sluice-sensitivity`; a misspelt header or value is refused, never ignored."""
    return read_stated_label(connection.headers)


def read_stated_label(headers: Headers, *, also_known: frozenset[str] = frozenset()) -> Label | None:
    """The strictest label in `x-sluice-sensitivity`; other `x-sluice-*` headers are refused unless `also_known`."""
    stated = None
    for name, value in own_headers(headers):
        if name in also_known:
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


def own_headers(headers: Headers) -> list[tuple[str, str]]:
    """Names and values of the headers that are Sluice's own."""
    own = [pair for pair in headers.raw if pair[0].startswith(HEADER_PREFIX)]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in own]


async def limit_rate(connection: HTTPConnection) -> None:
    """Count the request against its address; raises `RateLimitedError`. Either way the answer says what is left."""
    limit: EdgeLimit = connection.app.state.edge_limit
    if not limit.per_minute:
        return
    admission: Admission = connection.app.state.services.admission
    if admission.is_shared:
        reservation = await admission.count_address(address_of(connection), per_minute=limit.per_minute)
        connection.scope["state"]["limit_headers"] = limit_headers(reservation.allowance)
        reservation.refuse_excess()
        return
    verdict = limit.admit(connection)
    if verdict is None:
        return
    connection.scope["state"]["limit_headers"] = limit_headers(Allowance(requests=verdict.remainder))
    if not verdict.admitted:
        raise RateLimitedError(limit="address", retry_after=verdict.remainder.reset)


ServicesDep = Annotated[Services, Depends(get_services)]
AnyCaller = Annotated[Caller, Depends(Permission(None))]
ExplanationCaller = Annotated[Caller, Depends(Permission(Scope.CHAT))]
DocumentReader = Annotated[Caller, Depends(Permission(Scope.DOCUMENTS_READ))]
DocumentWriter = Annotated[Caller, Depends(Permission(Scope.DOCUMENTS_WRITE))]
SearchCaller = Annotated[Caller, Depends(Permission(Scope.SEARCH))]
EmbeddingsCaller = Annotated[Caller, Depends(Permission(Scope.EMBEDDINGS))]
SessionsCaller = Annotated[Caller, Depends(Permission(Scope.SESSIONS))]
UsageCaller = Annotated[Caller, Depends(Permission(Scope.USAGE))]
AdminCaller = Annotated[Caller, Depends(Permission(Scope.ADMIN))]
StatedLabelDep = Annotated[Label | None, Depends(get_stated_label)]
EDGE = [Depends(limit_rate)]
