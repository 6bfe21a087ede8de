"""Documents in the page: many files with real progress, failures with what to do, search, deletion."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, expect

from tests.gateway.conftest import Gateway
from tests.support.browser import Tab
from tests.web.conftest import Shoot


def text_file(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


async def test_files_go_in_are_found_and_deleted(gateway: Gateway, tab: Tab, shoot: Shoot) -> None:
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#documents")
    await expect(page.get_by_role("heading", name="No documents yet")).to_be_visible()
    await page.get_by_role("combobox", name="Label", exact=True).select_option("confidential")
    files = [text_file(f"note {number}.txt", f"Note {number} is about zebras.") for number in range(6)]
    broken: FilePayload = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 broken"}
    await page.locator("input[type=file]").last.set_input_files([*files, broken])
    await expect(page.locator(".status.ok")).to_have_count(6, timeout=20_000)
    await expect(page.locator(".document.failed")).to_contain_text("add it again")
    await expect(page.locator(".document .label-confidential")).to_have_count(7)
    await page.get_by_label("Search the documents").fill("Which note 3 is about zebras?")
    await page.keyboard.press("Enter")
    best = page.locator(".passages li").first
    await expect(best.locator("mark", has_text="zebras")).to_be_visible()
    await expect(best.locator(".rank").first).to_have_text("meaning #1")
    await shoot(tab, "documents")
    await page.get_by_role("button", name="Clear").click()
    await page.get_by_role("button", name="Delete broken.pdf").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(".document")).to_have_count(6)


@pytest.mark.slow
async def test_files_can_be_dropped_and_a_refused_one_does_not_hold_up_the_others(gateway: Gateway, tab: Tab) -> None:
    """The status of the refusal is what the console reports by itself."""
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#documents")
    await page.locator(".drop-zone").evaluate(
        """(zone) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["Zebras are striped."], "good.txt"));
            dataTransfer.items.add(new File([""], "empty.txt"));
            zone.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }"""
    )
    await expect(page.locator(".status.ok")).to_have_count(1)
    await expect(page.get_by_role("alert")).to_contain_text("empty.txt: The document is empty.")
    assert [trouble for trouble in tab.troubles if "Failed to load resource" not in trouble] == []
    tab.troubles.clear()


@pytest.mark.slow
async def test_ten_thousand_documents_remain_usable(gateway: Gateway, tab: Tab) -> None:
    for start in range(0, 10_000, 5_000):
        documents = [{"id": f"d{start + number}", "content": f"Row {start + number}"} for number in range(5_000)]
        status, _ = await gateway.post("/documents", {"documents": documents})
        assert status == 202
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#documents")
    await expect(page.locator(".document").first).to_be_visible()
    for _ in range(20):
        await page.locator("#view-documents").evaluate("(view) => { view.scrollTop = view.scrollHeight; }")
        await expect(page.locator("#view-documents .skeleton")).to_have_count(0)
    assert await page.locator(".document").count() >= 1_000
    took = await page.evaluate(
        """async () => {
            const began = performance.now();
            document.querySelector("#view-documents").scrollTop = 20_000;
            await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
            return performance.now() - began;
        }"""
    )
    assert took < 500
