from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from tests.gateway.conftest import Gateway, gateway

__all__ = ["client", "gateway"]


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    """The official client, of which nothing is changed but its base URL."""
    async with AsyncOpenAI(base_url=f"{gateway.service.url}/v1", api_key="unused", max_retries=0) as client:
        yield client
