"""The pages: the one for people at `/ui` and the API's documentation, from files of the repository alone."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.dependencies import ServicesDep

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).resolve().parent.parent / "web"
PAGE = (WEB / "ui.html").read_text(encoding="utf-8")

# What the pages of the API need: their own scripts, the styles they write into themselves, and nothing from elsewhere.
DOCS_POLICY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
# The page shows what models and documents say. Nothing of it can be a script, load anything or be read as HTML:
# with no policy for trusted types, whatever would parse a string as HTML throws.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {"referrer-policy": "no-referrer"}
DOCS_HEADERS = {**HEADERS, "content-security-policy": DOCS_POLICY}
PAGE_HEADERS = {
    **HEADERS,
    "content-security-policy": PAGE_POLICY,
    "cache-control": "no-cache",
    # Not even the names of the hosts that an answer links to are looked up.
    "x-dns-prefetch-control": "off",
    "vary": "accept",
}


class PageFiles(StaticFiles):
    """The files of the pages, asked for anew each time: after an upgrade no browser mixes old and new."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({**HEADERS, "cache-control": "no-cache"})
        return response


static_files = PageFiles(directory=WEB)


def prefers_html(headers: Headers) -> bool:
    """Whether the client is a browser: it accepts HTML by name, and no less than JSON (RFC 9110, 12.5.1)."""
    qualities = dict(_accepted(headers.get("accept", "")))
    html = qualities.get("text/html", 0.0)
    return html > 0 and html >= qualities.get("application/json", 0.0)


def _accepted(accept: str) -> list[tuple[str, float]]:
    """The media types of an `Accept` header with their weights; a weight that is none counts as 0."""
    accepted = []
    for each in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in each.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        accepted.append((media_type, float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0))
    return accepted


def page(*, key_needed: bool) -> Response:
    """The page for people; it asks for a key at once where nothing is answered without one."""
    content = PAGE.replace("<html", '<html data-key="needed"', 1) if key_needed else PAGE
    return Response(content, media_type="text/html", headers=PAGE_HEADERS)


@router.get("/ui")
async def ui(request: Request, services: ServicesDep) -> Response:
    """The page for people; its addresses are relative, so that it also works below a path of a proxy."""
    if request.scope.get("raw_path", b"").endswith(b"/"):
        return RedirectResponse("../ui")
    return page(key_needed=services.settings.protected)


@router.get("/docs")
async def docs() -> FileResponse:
    """The API to try out."""
    return FileResponse(WEB / "docs.html", headers=DOCS_HEADERS)


@router.get("/redoc")
async def redoc() -> FileResponse:
    """The API to read."""
    return FileResponse(WEB / "redoc.html", headers=DOCS_HEADERS)
