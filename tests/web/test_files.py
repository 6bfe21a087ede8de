"""The page as files: who gets it, under which policy, how much it weighs, and that nothing in it is parsed as HTML."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.gateway.conftest import Gateway

WEB = Path(__file__).resolve().parents[2] / "app" / "web"
OWN = sorted((WEB / "ui").rglob("*.*"))
MODULES = [path for path in OWN if path.suffix == ".js"]
LARGEST_PAGE = 300_000
LONGEST_MODULE = 260
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER, "text/html"),
        ("text/html;q=0.5, application/json;q=0.4", "text/html"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/html;q=0.4, application/json", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=nonsense", "application/json"),
    ],
)
async def test_browsers_get_the_page_and_programs_get_json(gateway: Gateway, accept: str, media_type: str) -> None:
    async with gateway.service.client.get("/", headers={"accept": accept}) as response:
        assert (response.status, response.content_type) == (200, media_type)
        assert response.headers["vary"] == "accept"


async def test_the_page_may_load_nothing_but_its_own_files(gateway: Gateway) -> None:
    async with gateway.service.client.get("/ui") as response:
        policy = dict(rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; "))
        text = await response.text()
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", text) is None
    assert "://" not in text


async def test_every_file_that_the_page_names_is_served(gateway: Gateway) -> None:
    text = (WEB / "ui.html").read_text(encoding="utf-8")
    for path in re.findall(r'(?:src|href)="(static/[^"]+)"', text):
        async with gateway.service.client.get(f"/{path}") as response:
            assert response.status == 200, path
            assert response.headers["x-content-type-options"] == "nosniff"


def test_every_module_is_fetched_at_once_and_not_one_after_the_other() -> None:
    text = (WEB / "ui.html").read_text(encoding="utf-8")
    preloaded = set(re.findall(r'rel="modulepreload" href="static/ui/([^"]+)"', text))
    assert preloaded == {path.relative_to(WEB / "ui").as_posix() for path in MODULES} - {"main.js", "theme.js"}


async def test_a_trailing_slash_leads_to_the_page(gateway: Gateway) -> None:
    async with gateway.service.client.get("/ui/") as response:
        assert (response.status, response.url.path, response.content_type) == (200, "/ui", "text/html")


def test_the_page_weighs_less_than_300_kilobytes_without_its_font() -> None:
    vendored = [WEB / "vendor" / name for name in digests() if not name.endswith(".woff2")]
    assert sum(path.stat().st_size for path in (WEB / "ui.html", *OWN, *vendored)) < LARGEST_PAGE


def digests() -> dict[str, str]:
    """The vendored files of the page by their names."""
    rows = re.findall(r"\| (\S+) \| ([0-9a-f]{64}) \|", (WEB / "vendor" / "README.md").read_text(encoding="utf-8"))
    return dict(rows)


def test_vendored_files_are_as_their_authors_published_them() -> None:
    assert digests()
    for name, digest in digests().items():
        assert hashlib.sha256((WEB / "vendor" / name).read_bytes()).hexdigest() == digest, name
        assert (WEB / "vendor" / name).with_name("LICENSE").exists()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(WEB).as_posix())
def test_a_module_parses_nothing_as_html_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert (
        re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", text)
        is None
    )
    assert len(text.splitlines()) <= LONGEST_MODULE
