"""A real browser: headless Chromium with a fresh profile, whose every request and error is remembered."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import ConsoleMessage, Page, async_playwright

EXECUTABLE = shutil.which("chromium")

# No sandbox, because containers and root have none to give; nothing that speaks to the network by itself.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One open page. `requests` are the addresses it asked for, `troubles` what its console complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def outgoing(self) -> list[str]:
        """The requests that left the page: data and blobs are inside it."""
        return [url for url in self.requests if not url.startswith(("data:", "blob:"))]

    def listen(self) -> None:
        """Remember from now on."""

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.troubles.append(message.text)

        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", note)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))


@asynccontextmanager
async def open_tab(**options: Any) -> AsyncIterator[Tab]:
    """A tab of a browser of its own; `options` are those of Playwright's `new_context`."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=list(ARGUMENTS))
        context = await browser.new_context(**options)
        tab = Tab(page=await context.new_page())
        tab.listen()
        yield tab
        await browser.close()
