"""Who asks a chat endpoint for what, read in one go: FastAPI takes longer over four dependencies than they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.dependencies import Permission, get_services, read_stated_label
from app.models import Caller, Label, Scope
from app.routers.freshness import Freshness, read_freshness
from app.wiring import Services

MAY_CHAT = Permission(Scope.CHAT, pipeline_counts=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The services that answer, the caller, and what the caller's `Cache-Control` wants of the cache."""

    services: Services
    caller: Caller
    freshness: Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeAsking(Asking):
    """`stated` is the label in the headers."""

    stated: Label | None


class NativeReader:
    """Reads who asks; `permission` is what the caller must be allowed."""

    permission = MAY_CHAT

    async def __call__(self, connection: HTTPConnection) -> NativeAsking:
        services = await get_services(connection)
        return NativeAsking(
            services=services,
            caller=await self.permission(connection, services),
            freshness=await read_freshness(connection),
            stated=read_stated_label(connection.headers),
        )


NativeAskingDep = Annotated[NativeAsking, Depends(NativeReader())]
