"""axe finds nothing serious in any view, in both colour schemes, and on a phone, where nothing sticks out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.gateway.conftest import Gateway
from tests.support.answer import Answer
from tests.support.browser import Tab
from tests.web.conftest import PHONE, OpenTab, Shoot
from tests.web.test_chat import MARKDOWN, PLANS, ask

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
VIEWS = {"documents": ".document", "routing": ".examples", "dashboard": "canvas", "access": ".empty"}
SERIOUS = ("serious", "critical")


async def findings(tab: Tab) -> list[str]:
    """What axe finds that is serious, with the elements."""
    await tab.page.evaluate(AXE)
    result: dict[str, Any] = await tab.page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes'][:3]]}"
        for violation in result["violations"]
        if violation["impact"] in SERIOUS
    ]


async def look_at(gateway: Gateway, tab: Tab, *, shoot: Shoot, name: str) -> None:
    """Every view, with something in it."""
    await gateway.add({"id": "plans", "title": "Plans.md", "content": PLANS}, sensitivity="public")
    gateway.cloud.script = Answer(text=MARKDOWN)
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui")
    await expect(page.locator(".hint").first).to_be_visible()
    assert await findings(tab) == []
    await ask(tab, "What does the Pro plan cost?")
    await expect(page.locator(".source")).to_be_visible()
    await page.locator(".why > summary").click()
    assert await findings(tab) == [], "chat"
    await shoot(tab, f"{name}-chat")
    await page.locator(".source").click()
    await expect(page.locator("dialog mark")).to_be_visible()
    assert await findings(tab) == [], "passage"
    await page.keyboard.press("Escape")
    for view, landmark in VIEWS.items():
        await page.goto(f"{gateway.service.url}/ui#{view}")
        await expect(page.locator(f"#view-{view} {landmark}").first).to_be_visible()
        assert await findings(tab) == [], view
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        await shoot(tab, f"{name}-{view}")


async def test_axe_finds_nothing_serious(gateway: Gateway, browse: OpenTab, shoot: Shoot) -> None:
    async with browse(bypass_csp=True) as tab:
        await look_at(gateway, tab, shoot=shoot, name="light")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("dark", {"color_scheme": "dark"}), ("phone", PHONE), ("phone-dark", PHONE | {"color_scheme": "dark"})],
)
async def test_axe_finds_nothing_serious_elsewhere(
    gateway: Gateway, browse: OpenTab, shoot: Shoot, name: str, options: dict[str, Any]
) -> None:
    async with browse(bypass_csp=True, **options) as tab:
        await look_at(gateway, tab, shoot=shoot, name=name)
