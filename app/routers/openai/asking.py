"""Who asks for a chat completion, and what the headers say of it, read in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.dependencies import get_services
from app.routers.asking import MAY_CHAT, Asking
from app.routers.freshness import read_freshness
from app.routers.openai.options import HeaderOptions, read_options


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIAsking(Asking):
    """`options` are those in the headers."""

    options: HeaderOptions


class OpenAIReader:
    """Reads who asks; `permission` is what the caller must be allowed."""

    permission = MAY_CHAT

    async def __call__(self, connection: HTTPConnection) -> OpenAIAsking:
        services = await get_services(connection)
        return OpenAIAsking(
            services=services,
            caller=await self.permission(connection, services),
            freshness=await read_freshness(connection),
            options=await read_options(connection),
        )


OpenAIAskingDep = Annotated[OpenAIAsking, Depends(OpenAIReader())]
