"""Stored conversations in the page: kept, found, named, deleted, branched, and long ones."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.gateway.conftest import Gateway
from tests.support.answer import Answer
from tests.support.browser import Tab
from tests.web.conftest import Shoot
from tests.web.test_chat import ask, is_answer


async def test_conversations_are_kept_found_named_and_deleted(gateway: Gateway, tab: Tab, shoot: Shoot) -> None:
    page = tab.page
    for subject in ("zebras", "comets"):
        await page.goto(f"{gateway.service.url}/ui?{subject}")
        await ask(tab, f"Tell me about {subject}")
        await expect(page.locator(".facts")).to_be_visible()
    entries = page.locator(".session-open")
    await expect(entries).to_have_count(2)
    await shoot(tab, "sessions")
    await page.get_by_label("Search conversations").fill("zebras")
    await expect(entries).to_have_count(1)
    await entries.first.click()
    await expect(page.get_by_role("article", name="You")).to_contain_text("Tell me about zebras")
    await ask(tab, "And more?")
    await expect(page.get_by_role("article", name="Answer")).to_have_count(2)
    await page.get_by_role("button", name="Rename").first.click()
    await page.get_by_label("Title").fill("Stripes")
    await page.keyboard.press("Enter")
    await page.get_by_label("Search conversations").fill("")
    await expect(entries.filter(has_text="Stripes")).to_be_visible()
    await page.get_by_role("button", name="Delete: Stripes").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(entries).to_have_count(1)
    await expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


@pytest.mark.slow
async def test_both_answers_to_a_question_stay_within_reach(gateway: Gateway, tab: Tab) -> None:
    page = tab.page
    answers = iter(("First.", "Second."))
    gateway.cloud.script = lambda request: Answer(text=next(answers)) if is_answer(request) else None
    await page.goto(f"{gateway.service.url}/ui")
    await ask(tab, "One?")
    await expect(page.locator(".facts")).to_be_visible()
    await page.get_by_role("button", name="Answer again").click()
    answer = page.get_by_role("article", name="Answer")
    await expect(answer).to_contain_text("Second.")
    await page.locator(".session-open").first.click()
    await expect(answer).to_contain_text("2 / 2")
    await answer.get_by_role("button", name="The version before").click()
    await expect(answer).to_contain_text("First.")
    await expect(answer).to_contain_text("1 / 2")


@pytest.mark.slow
async def test_a_conversation_of_five_thousand_messages_remains_usable(gateway: Gateway, tab: Tab) -> None:
    for start in range(0, 5_000, 500):
        messages = [
            {"role": "assistant" if number % 2 else "user", "content": f"**Message** {start + number}"}
            for number in range(499)
        ]
        await gateway.post(
            "/chat", {"messages": [*messages, {"role": "user", "content": "Go on"}], "session_id": "long"}
        )
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui")
    began = await page.evaluate("performance.now()")
    await page.locator(".session-open").first.click()
    await expect(page.locator(".turn")).not_to_have_count(0)
    assert await page.evaluate("performance.now()") - began < 3_000
    for _ in range(10):
        await page.locator("#turns-scroll").evaluate("(scroll) => { scroll.scrollTop = 0; }")
        await page.wait_for_timeout(100)
    assert await page.locator(".turn").count() >= 300
    await ask(tab, "Still there?")
    await expect(page.locator(".turn").last).to_contain_text("Water boils")
