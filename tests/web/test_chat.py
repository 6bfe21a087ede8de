"""The chat, end to end: what a person types, what a model says, and what the page makes of it."""

from __future__ import annotations

import base64
import json

import pytest
from playwright.async_api import expect

from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.answer import Answer
from tests.support.behaviours import CutMidStream, StallMidStream, Status
from tests.support.browser import Tab
from tests.support.http import RecordedRequest
from tests.web.conftest import Shoot

PLANS = "The Basic plan costs 10 dollars a month. The Pro plan costs 40 dollars and has support day and night."
MARKDOWN = """The **Pro plan** costs more [1].

| Plan | Price |
|---|--:|
| Basic | $10 |

```python
print("hello")
```

- [x] read &amp; compared
"""
# A picture of one pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def is_answer(request: RecordedRequest) -> bool:
    """Whether a request to a model is for an answer that the page waits for, and not for a title."""
    return b'"max_tokens"' not in request.body


async def ask(tab: Tab, text: str) -> None:
    """Into the first text area of the page, then Enter."""
    await tab.page.locator("textarea").first.fill(text)
    await tab.page.keyboard.press("Enter")


async def test_an_answer_shows_its_markdown_its_source_and_its_reasons(
    gateway: Gateway, tab: Tab, shoot: Shoot
) -> None:
    await gateway.add({"id": "plans", "title": "Plans.md", "content": PLANS}, sensitivity="public")
    gateway.cloud.script = Answer(text=MARKDOWN)
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui")
    await shoot(tab, "welcome")
    await ask(tab, "What does the Pro plan cost?")
    answer = page.get_by_role("article", name="Answer")
    await expect(answer.locator("strong").first).to_have_text("Pro plan")
    await expect(answer.locator("td").first).to_have_text("Basic")
    await expect(answer.locator("pre")).to_have_text('print("hello")')
    await expect(answer.locator("li").first).to_have_text("☑ read & compared")
    facts = answer.locator(".why > summary")
    for fact in (CLOUD, "cloud", "public", "18 tokens"):
        await expect(facts).to_contain_text(fact)
    await shoot(tab, "chat")
    await facts.click()
    await expect(answer.locator(".story")).to_contain_text("Candidates")
    await answer.get_by_role("button", name="Source 1: Plans.md").click()
    await expect(page.get_by_role("dialog").locator("mark")).to_have_text(PLANS)
    await shoot(tab, "passage")


@pytest.mark.slow
async def test_an_answer_that_repeats_says_that_it_is_cached(gateway: Gateway, tab: Tab) -> None:
    for _ in range(2):
        await tab.page.goto(f"{gateway.service.url}/?again={_}")
        await ask(tab, "At which temperature does water boil?")
        await expect(tab.page.locator(".facts")).to_contain_text("18 tokens")
    await expect(tab.page.locator(".facts")).to_contain_text("cached")
    assert len([request for request in gateway.cloud.completions if is_answer(request)]) == 1


async def test_stop_ends_the_call_to_the_model_and_keeps_what_was_said(gateway: Gateway, tab: Tab) -> None:
    gateway.cloud.script = StallMidStream(of=Answer(text="One two three four five."), after=2)
    await tab.page.goto(f"{gateway.service.url}/ui")
    await ask(tab, "Count")
    await expect(tab.page.get_by_role("article", name="Answer")).to_contain_text("One two")
    await tab.page.get_by_role("button", name="Stop").click()
    await gateway.cloud.wait_cancelled()
    await expect(tab.page.get_by_role("article", name="Answer")).to_contain_text("Stopped here.")
    await expect(tab.page.get_by_role("button", name="Send")).to_be_visible()


@pytest.mark.slow
async def test_shift_enter_writes_a_new_line(gateway: Gateway, tab: Tab) -> None:
    await tab.page.goto(f"{gateway.service.url}/ui")
    await tab.page.locator("textarea").first.press_sequentially("a")
    await tab.page.keyboard.press("Shift+Enter")
    await tab.page.keyboard.type("b")
    await expect(tab.page.locator("textarea").first).to_have_value("a\nb")
    assert gateway.cloud.completions == []


@pytest.mark.slow
async def test_a_pasted_picture_goes_with_the_message(gateway: Gateway, tab: Tab) -> None:
    """Of the models only the local one is known to see."""
    await tab.page.goto(f"{gateway.service.url}/ui")
    await tab.page.locator("textarea").first.evaluate(
        """(input, data) => {
            const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            input.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }""",
        PNG,
    )
    await expect(tab.page.get_by_role("img", name="Picture 1 to send")).to_be_visible()
    await ask(tab, "What is this?")
    await expect(tab.page.locator(".facts, .failure").first).to_be_visible()
    sent = b"".join(request.body for request in (*gateway.cloud.completions, *gateway.local.completions))
    assert PNG.encode() in sent or base64.b64decode(PNG) in sent
    await expect(tab.page.get_by_role("img", name="Attached picture")).to_be_visible()


@pytest.mark.slow
async def test_a_stated_label_keeps_the_message_local(gateway: Gateway, tab: Tab) -> None:
    await tab.page.goto(f"{gateway.service.url}/ui")
    await tab.page.get_by_label("Label of the message").select_option("confidential")
    await ask(tab, "A word between us")
    for fact in (LOCAL, "local", "confidential"):
        await expect(tab.page.locator(".facts")).to_contain_text(fact)
    assert gateway.cloud.completions == []


@pytest.mark.slow
async def test_an_error_says_what_to_do(gateway: Gateway, tab: Tab) -> None:
    """A refusal of the service has a status that the console reports by itself; that is all it reports."""
    gateway.cloud.script = gateway.local.script = Status(400)
    await tab.page.goto(f"{gateway.service.url}/ui")
    await ask(tab, "Hello")
    await expect(tab.page.get_by_role("alert")).to_contain_text("Try again")
    assert [trouble for trouble in tab.troubles if "Failed to load resource" not in trouble] == []
    tab.troubles.clear()


@pytest.mark.slow
async def test_an_answer_that_breaks_off_keeps_what_arrived(gateway: Gateway, tab: Tab) -> None:
    gateway.cloud.script = CutMidStream(of=Answer(text="One two three four five."), after=2)
    await tab.page.goto(f"{gateway.service.url}/ui")
    await ask(tab, "Count")
    answer = tab.page.get_by_role("article", name="Answer")
    await expect(answer.get_by_role("alert")).to_be_visible()
    await expect(answer).to_contain_text("One two")


def last_said(gateway: Gateway) -> list[str]:
    """The contents of the messages in the newest request to the cloud model, instructions apart."""
    body = [request.body for request in gateway.cloud.completions if is_answer(request)][-1]
    messages = json.loads(body)["messages"]
    return [message["content"] for message in messages if message["role"] != "system"]


async def test_a_question_can_be_edited_and_an_answer_given_again(gateway: Gateway, tab: Tab) -> None:
    page = tab.page
    answers = iter(("First.", "Second.", "Third.", "Fourth."))
    gateway.cloud.script = lambda request: Answer(text=next(answers)) if is_answer(request) else None
    await page.goto(f"{gateway.service.url}/ui")
    await ask(tab, "One?")
    await expect(page.locator(".facts")).to_have_count(1)
    await ask(tab, "Two?")
    await expect(page.locator(".facts")).to_have_count(2)
    assert last_said(gateway) == ["One?", "First.", "Two?"]
    await page.get_by_role("button", name="Answer again").last.click()
    await expect(page.get_by_role("article", name="Answer").last).to_contain_text("Third.")
    assert last_said(gateway) == ["One?", "First.", "Two?"]
    await page.get_by_role("button", name="Edit the question").first.click()
    await page.get_by_label("Edit your message").fill("Another?")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("article", name="Answer")).to_contain_text("Fourth.")
    assert last_said(gateway) == ["Another?"]
