"""Holding back the end of an answer until nothing is left to do for it: where a process is frozen between answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Settling:
    """Pure ASGI. What a client reads arrives as before; only the word that there is no more waits for `settle`."""

    def __init__(self, app: ASGIApp, *, settle: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._settle = settle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_settled(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                if message.get("body"):
                    await send({**message, "more_body": True})
                ended = True
                return
            await send(message)

        try:
            await self._app(scope, receive, send_settled)
        finally:
            await self._settle()
        if ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
