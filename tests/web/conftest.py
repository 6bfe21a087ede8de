from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Gateway, cloud_settings
from tests.support.browser import EXECUTABLE, Tab, open_tab
from tests.support.service import running
from tests.support.upstream import ScriptedUpstream

# Where screenshots go, for continuous integration to keep; unset, none are made.
SCREENSHOTS = os.environ.get("SCREENSHOTS")

PHONE = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
LAPTOP = {"viewport": {"width": 1280, "height": 800}}

OpenTab = Callable[..., AbstractAsyncContextManager[Tab]]
Shoot = Callable[[Tab, str], Coroutine[Any, Any, None]]


@pytest.fixture
def browse() -> OpenTab:
    """Opens tabs of a real browser, each with a profile of its own."""
    if EXECUTABLE is None:
        pytest.skip("chromium is not installed")
    return partial(open_tab, **LAPTOP)


@pytest.fixture
async def tab(browse: OpenTab) -> AsyncIterator[Tab]:
    """A tab whose console must stay silent, and that must ask nobody but the service for anything."""
    async with browse() as opened:
        yield opened
        assert opened.troubles == []
        assert {re.sub(r"//127\.0\.0\.1:\d+/.*", "//service", url) for url in opened.outgoing} <= {"http://service"}


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Shoot:
    """Keeps a picture of a tab if there is a folder for pictures."""

    async def take(tab: Tab, name: str) -> None:
        if SCREENSHOTS:
            folder = Path(SCREENSHOTS)
            await tab.page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return take


@pytest.fixture
async def gateway(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """The service between a cloud model and a local one, with the page."""
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, **settings) as service:
        yield Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)
