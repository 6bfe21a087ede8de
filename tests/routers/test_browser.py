"""What a page in a real browser can do, served from another origin that a setting allows."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests.gateway.conftest import CLOUD, cloud_settings
from tests.support.ports import HOST
from tests.support.process import REPOSITORY
from tests.support.service import running
from tests.support.upstream import ScriptedUpstream

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
QUIET = (
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--disable-default-apps",
)  # fmt: skip
SEEN_WITHIN = 15_000
TEXT = "Water boils at 100 degrees."

# The browser's library has subprocess transports that outlive its own closing.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium: apt-get install chromium"),
]

FETCH = """async (url) => {
  const response = await fetch(url, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({message: "When does water boil?", stream: true, documents: false}),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  return {status: response.status, label: response.headers.get("x-sluice-label"), text};
}"""
EVENT_SOURCE = """(url) => new Promise((resolve, reject) => {
  const source = new EventSource(url);
  const seen = [];
  source.onmessage = (event) => {
    seen.push(event.data);
    if (event.data === "[DONE]") { source.close(); resolve(seen); }
  };
  source.onerror = () => { source.close(); reject(new Error("refused")); };
})"""

ANSWERED = """(count) => {
  const lines = [...document.querySelectorAll("#log p")];
  const answers = lines.filter((line) => line.textContent.startsWith("Water"));
  return answers.length === count && document.getElementById("stop").disabled;
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A page that was loaded from another origin than the gateway's, at `url`."""

    page: Page
    url: str
    gateway: str
    client: Any


@asynccontextmanager
async def opened(directory: Path, upstream: ScriptedUpstream, *, allowed: bool) -> AsyncIterator[Elsewhere]:
    pages = web.Application()
    pages.router.add_static("/", REPOSITORY / "examples")
    runner = web.AppRunner(pages)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    origin = f"http://{HOST}:{runner.addresses[0][1]}"
    settings = cloud_settings(upstream) | {"vector_store": "memory", "cors_origins": (origin,) if allowed else ()}
    try:
        async with running(directory, **settings) as service, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
            page = await browser.new_page()
            await page.goto(f"{origin}/socket.html?url={service.url}")
            yield Elsewhere(page=page, url=origin, gateway=service.url, client=service.client)
            await browser.close()
    finally:
        await runner.cleanup()


async def test_the_example_page_talks_over_its_socket(tmp_path: Path, openai_upstream: ScriptedUpstream) -> None:
    async with opened(tmp_path, openai_upstream, allowed=True) as elsewhere:
        page = elsewhere.page
        for question in ("When does water boil?", "And on a mountain?"):
            await page.fill("#text", question)
            await page.click("button:not(#stop)")
            await page.wait_for_function(
                ANSWERED,
                arg=1 if question.startswith("When") else 2,
                timeout=SEEN_WITHIN,
            )
        lines = await page.locator("#log p").all_inner_texts()
        assert [line.strip() for line in lines] == [
            "When does water boil?", f"{CLOUD}, public", TEXT, "And on a mountain?", f"{CLOUD}, public", TEXT,
        ]  # fmt: skip
        roles = [message["role"] for message in openai_upstream.completions[-1].json["messages"]]
        assert roles == ["user", "assistant", "user"]


async def test_fetch_reads_a_stream_and_event_source_the_progress_of_a_document(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    async with opened(tmp_path, openai_upstream, allowed=True) as elsewhere:
        got = await elsewhere.page.evaluate(FETCH, f"{elsewhere.gateway}/chat/stream")
        assert (got["status"], got["label"]) == (200, "public")
        assert '"content":"Water "' in got["text"]
        assert got["text"].rstrip().endswith("data: [DONE]")
        body = {"documents": [{"id": "moon", "content": "The moon is far away."}]}
        async with elsewhere.client.post("/documents?wait=true", json=body) as response:
            assert response.status == 200
        events = await elsewhere.page.evaluate(EVENT_SOURCE, f"{elsewhere.gateway}/documents/moon/events")
        assert '"status":"indexed"' in events[-2]
        assert events[-1] == "[DONE]"


async def test_a_page_of_an_origin_that_is_not_allowed_reads_nothing(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    async with opened(tmp_path, openai_upstream, allowed=False) as elsewhere:
        for script, path in ((FETCH, "/chat/stream"), (EVENT_SOURCE, "/documents/moon/events")):
            failed = await elsewhere.page.evaluate(
                f"(url) => Promise.resolve(({script})(url)).then(() => '', (error) => String(error))",
                f"{elsewhere.gateway}{path}",
            )
            assert "Error" in failed
        assert openai_upstream.completions == []
