"""Routing, the dashboard and keys in the page, signing in, and that nothing is read from a view that is closed."""

from __future__ import annotations

import csv
import io
import secrets
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.browser import Tab
from tests.support.service import running
from tests.web.conftest import OpenTab, Shoot
from tests.web.test_chat import ask

FIRST_PAINT = """new Promise((resolve) => {
    const take = (list) => resolve(list.getEntriesByName("first-contentful-paint")[0].startTime);
    new PerformanceObserver(take).observe({ type: "paint", buffered: true });
})"""


@pytest.mark.slow
async def test_routing_explains_a_prompt_without_sending_it(gateway: Gateway, tab: Tab, shoot: Shoot) -> None:
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#routing")
    await page.get_by_role("textbox", name="Prompt").fill(
        "Write to jane.doe@initech.com about her card 4111 1111 1111 1111."
    )
    result = page.get_by_label("Where it would go")
    await expect(result.locator(".target")).to_contain_text(LOCAL)
    for fact in ("confidential", "email in the prompt", "payment card in the prompt", "not cleared for this label"):
        await expect(result).to_contain_text(fact)
    await shoot(tab, "routing")
    assert gateway.cloud.completions == gateway.local.completions == []


async def test_the_dashboard_counts_what_was_answered(gateway: Gateway, tab: Tab, shoot: Shoot, tmp_path: Path) -> None:
    for message in ("One?", "Two?", "One?", "Mail jane.doe@initech.com!"):
        await gateway.chat(message)
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#dashboard")
    tiles = page.locator(".tiles")
    await expect(tiles).to_contain_text("Requests4")
    await expect(tiles).to_contain_text("Cache hits25 %")
    await expect(page.locator("canvas")).to_have_count(6)
    rows = page.locator(".decisions tbody tr")
    await expect(rows).to_have_count(4)
    await expect(rows.first).to_contain_text(LOCAL)
    await expect(rows.first).to_contain_text("email")
    cache = page.get_by_role("region", name="Cache by tenant and label").locator("tbody tr")
    await expect(cache.first).to_contain_text("defaultpublic3133 %")
    await shoot(tab, "dashboard")
    await page.get_by_label("Outcome", exact=True).select_option("cached")
    await expect(rows).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Save as CSV").click()
    await (await download.value).save_as(tmp_path / "decisions.csv")
    [row] = csv.DictReader(io.StringIO((tmp_path / "decisions.csv").read_text(encoding="utf-8")))
    assert (row["model"], row["label"], row["cached"]) == (CLOUD, "public", "true")


@pytest.mark.slow
async def test_a_view_is_live_only_while_it_is_open(gateway: Gateway, tab: Tab) -> None:
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#dashboard")
    async with page.expect_request("**/metrics"), page.expect_request("**/metrics"):
        pass  # read once when it was opened, and again
    await page.get_by_role("link", name="Chat", exact=True).click()
    await expect(page.get_by_label("Your message")).to_be_visible()
    await page.clock.install()
    tab.requests.clear()
    await page.clock.run_for(60_000)
    assert tab.outgoing == []


async def test_a_service_that_needs_a_key_asks_for_it_first(browse: OpenTab, tmp_path: Path, shoot: Shoot) -> None:
    """A wrong key is told and asked for again; the right one opens the page, and nothing stores it."""
    key = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=key) as service, browse() as tab:
        page = tab.page
        await page.goto(f"{service.url}/ui#access")
        assert tab.troubles == []
        await page.get_by_label("Key", exact=True).fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_contain_text("not accepted")
        await page.get_by_label("Key", exact=True).fill(key)
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="New key").click()
        await page.get_by_label("Name", exact=True).fill("Reporting")
        await page.get_by_label("Requests per minute").fill("60")
        await page.get_by_label("US dollars a day").fill("2.5")
        await page.get_by_role("button", name="Create").click()
        secret = await page.locator(".secret code").inner_text()
        await page.keyboard.press("Escape")
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="Reporting sk-"))
        await expect(row).to_contain_text("60 requests/min$2.5 a day")
        body = {"messages": [{"role": "user", "content": "What is a sluice?"}]}
        async with service.client.post("/chat", json=body, headers={"authorization": f"Bearer {secret}"}) as response:
            answer = await response.json()
        await page.get_by_label("Add up").select_option("model")
        await expect(page.get_by_role("region", name="Usage").get_by_role("row")).to_contain_text(
            ["Requests", answer["model_used"], "All together"]
        )
        await shoot(tab, "keys")
        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Save usage as CSV").click()
        await (await saved.value).save_as(tmp_path / "usage.csv")
        assert answer["model_used"] in (tmp_path / "usage.csv").read_text(encoding="utf-8")
        await page.get_by_role("button", name="Revoke Reporting").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(page.get_by_role("cell", name="revoked", exact=True)).to_be_visible()
        stored = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert key not in stored
        await page.reload()
        await expect(page.get_by_label("Key", exact=True)).to_be_visible()


@pytest.mark.slow
async def test_the_colours_follow_the_system_until_they_are_chosen(gateway: Gateway, browse: OpenTab) -> None:
    async with browse(color_scheme="dark") as tab:
        page = tab.page
        await page.goto(f"{gateway.service.url}/ui")
        background = "getComputedStyle(document.body).backgroundColor"
        dark = await page.evaluate(background)
        await page.get_by_role("button", name="Colours: system").click()
        light = await page.evaluate(background)
        assert light != dark
        await page.reload()
        assert await page.evaluate(background) == light
        assert tab.troubles == []


@pytest.mark.slow
@pytest.mark.no_cover
async def test_the_page_is_painted_at_once(gateway: Gateway, tab: Tab) -> None:
    """Once the browser is warm: what it needs before the first paint is small and local."""
    paints = []
    for _ in range(4):
        await tab.page.goto(f"{gateway.service.url}/ui")
        paints.append(await tab.page.evaluate(FIRST_PAINT))
    assert min(paints) < 200, paints


@pytest.mark.slow
async def test_the_page_works_by_keyboard_alone(gateway: Gateway, tab: Tab) -> None:
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui")
    await expect(page.get_by_label("Your message")).to_be_focused()
    await ask(tab, "Hello")
    await expect(page.locator(".facts")).to_be_visible()
    await expect(page.locator("#announcer")).to_have_text("The answer is complete")
    await page.get_by_role("link", name="Routing", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Routing", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Sign in with a key").press("Enter")
    await expect(page.get_by_label("Key", exact=True)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
