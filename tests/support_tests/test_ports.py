from __future__ import annotations

import asyncio

import pytest

from tests.support.ports import HOST, deaf_port, free_port


async def test_nobody_answers_at_a_free_port() -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, free_port())


async def test_connection_to_a_deaf_port_neither_opens_nor_fails() -> None:
    with deaf_port() as port, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.open_connection(HOST, port)
