"""A client of a running service, for the commands that speak to one."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from app.config import Settings
from app.errors import ConfigurationError

# Indexing a batch may take long; the service answers 202 when it takes longer than this.
PATIENCE = aiohttp.ClientTimeout(total=900, sock_connect=10)
POLL_SECONDS = 1.0
LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class RefusedError(Exception):
    """The service refused a request; `code` and `message` are its own."""

    code: str
    message: str


class ServiceClient:
    """Speaks HTTP to one service, and waits when it is told to."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def upload(
        self, files: Mapping[str, Path], *, collection: str, sensitivity: str | None
    ) -> list[dict[str, Any]]:
        """Store files by document id and wait until each is indexed or failed; raises `RefusedError`."""
        fields = {"collection": collection, "ids": json.dumps(list(files))}
        if sensitivity:
            fields["sensitivity"] = sensitivity
        uploaded = await self.ask("POST", "documents?wait=true", form=lambda: _form(fields, files.values()))
        return [await self._settled(document) for document in uploaded["documents"]]

    async def search(self, query: str, *, collection: str, limit: int) -> list[dict[str, Any]]:
        """The best passages; raises `RefusedError`."""
        body = {"query": query, "collection": collection, "limit": limit}
        found = await self.ask("POST", "search", json=body)
        return list(found["documents"])

    async def documents(self, *, collection: str | None) -> AsyncIterator[dict[str, Any]]:
        """All documents, newest first; raises `RefusedError`."""
        parameters = {"limit": "1000", **({"collection": collection} if collection else {})}
        while True:
            page = await self.ask("GET", "documents", params=parameters)
            for document in page["documents"]:
                yield document
            if page["next"] is None:
                return
            parameters = {**parameters, "after": page["next"]}

    async def document(self, id: str, *, collection: str) -> dict[str, Any]:
        """A document as it stands; raises `RefusedError`."""
        found: dict[str, Any] = await self.ask("GET", _path(id), params={"collection": collection})
        return found

    async def declassify(self, id: str, *, collection: str, sensitivity: str, reason: str | None) -> dict[str, Any]:
        """Lower a document's label and wait until that version is indexed or failed; raises `RefusedError`."""
        body = {"sensitivity": sensitivity, **({"reason": reason} if reason else {})}
        path = f"{_path(id)}/declassify"
        return await self._settled(await self.ask("POST", path, json=body, params={"collection": collection}))

    async def _settled(self, document: dict[str, Any]) -> dict[str, Any]:
        while document["status"] not in ("indexed", "failed"):
            await asyncio.sleep(POLL_SECONDS)
            document = await self.document(document["id"], collection=document["collection"])
        return document

    async def ask(
        self, method: str, path: str, *, form: Callable[[], aiohttp.FormData] | None = None, **options: Any
    ) -> Any:
        """The decoded answer; sent again when the service says how long to wait, with a form that is made anew."""
        while True:
            data = form() if form else None
            async with self._session.request(method, path, data=data, **options) as response:
                if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                    await asyncio.sleep(min(LONGEST_WAIT, float(response.headers.get("retry-after", "1"))))
                    continue
                body: Any = await response.json() if response.status != HTTPStatus.NO_CONTENT else None
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise RefusedError(body["error"]["code"], body["error"]["message"])
            return body


def _path(id: str) -> str:
    return f"documents/{quote(id, safe='')}"


def _form(fields: Mapping[str, str], files: Iterable[Path]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    for path in files:
        form.add_field("files", path.open("rb"), filename=path.name)
    return form


@asynccontextmanager
async def connect() -> AsyncIterator[ServiceClient]:
    """A client of the service at SLUICE_URL, by default that of HOST and PORT, with the key of SLUICE_API_KEY.

    ADMIN_KEY goes to the service of HOST and PORT alone, whose it is.
    """
    key = os.environ.get("SLUICE_API_KEY") or (None if os.environ.get("SLUICE_URL") else _admin_key())
    headers = {"authorization": f"Bearer {key}"} if key else {}
    url = _url()
    async with aiohttp.ClientSession(base_url=url, headers=headers, timeout=PATIENCE) as session:
        try:
            yield ServiceClient(session)
        except aiohttp.ClientConnectionError:
            raise ConfigurationError(
                f"no service answers at {url}. Start one with `python -m app serve`, or set SLUICE_URL."
            ) from None


def _admin_key() -> str | None:
    admin_key = Settings().admin_key
    return admin_key.get_secret_value() if admin_key else None


def _url() -> str:
    given = os.environ.get("SLUICE_URL")
    if given:
        return given.rstrip("/") + "/"
    settings = Settings()
    return f"http://{settings.host}:{settings.port}/"


def batches(files: Sequence[tuple[str, Path]], *, most: int, most_bytes: int) -> list[dict[str, Path]]:
    """Files in their order, in batches of bounded number and size."""
    made: list[dict[str, Path]] = []
    size = most_bytes
    for id, path in files:
        length = path.stat().st_size
        if not made or len(made[-1]) == most or size + length > most_bytes:
            made.append({})
            size = 0
        made[-1][id] = path
        size += length
    return made
