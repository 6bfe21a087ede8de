"""The pages: the API's documentation, from files in the repository, so that it needs no network."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).resolve().parent.parent / "web"

# What both pages need: their own scripts, the styles they write into themselves, and nothing from elsewhere.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

static_files = StaticFiles(directory=WEB)


@router.get("/docs")
async def docs() -> FileResponse:
    """The API to try out."""
    return FileResponse(WEB / "docs.html", headers=HEADERS)


@router.get("/redoc")
async def redoc() -> FileResponse:
    """The API to read."""
    return FileResponse(WEB / "redoc.html", headers=HEADERS)
