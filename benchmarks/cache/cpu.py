"""Print the CPU time of an exact hit: `python -m benchmarks.cache.cpu [--requests N]`.

From the ASGI scope to the last byte of the answer, all of the service and nothing of a client or a socket.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI

from app.config import Settings
from app.main import create_app

WARMING = 200
BODY = {"message": "Why is the sky blue?", "model": "builtin/extractive"}
HEADERS = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache.cpu")
    parser.add_argument("--requests", type=int, default=2000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory), vector_store="memory", rate_limit_per_minute=0, log_level="WARNING"
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            for path in ("/chat", "/chat/stream"):
                for documents in (False, True):
                    body = orjson.dumps({**BODY, "documents": documents})
                    for _ in range(WARMING):
                        await ask(app, path, body)
                    began = time.process_time()
                    for _ in range(requests):
                        await ask(app, path, body)
                    spent = (time.process_time() - began) / requests
                    print(f"{path:14} {'with' if documents else 'without':8} documents {spent * 1000:.2f} ms of CPU")


async def ask(app: FastAPI, path: str, body: bytes) -> None:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": HEADERS,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "root_path": "", "state": {},
    }  # fmt: skip
    sent = False
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await left.wait()
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:  # noqa: PLR2004  (HTTP's OK)
            raise RuntimeError(f"the service answered {message['status']}")

    await app(scope, receive, send)


if __name__ == "__main__":
    asyncio.run(main())
