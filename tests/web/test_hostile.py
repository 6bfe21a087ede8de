"""Hostile text from models and documents: it is shown, and that is all that happens."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.gateway.conftest import Gateway
from tests.support.answer import Answer
from tests.support.browser import Tab
from tests.web.test_chat import PLANS, ask, is_answer

EVIL = "http://evil.invalid"
HOSTILE = f"""<script>window.hacked = "script"</script>
<img src="{EVIL}/a.png" onerror="window.hacked='onerror'">
<svg onload="window.hacked='svg'"><image href="{EVIL}/b.svg"/></svg>
<iframe src="{EVIL}/c"></iframe><style>@import url({EVIL}/d.css); body {{ background: url({EVIL}/e.png) }}</style>
<form action="{EVIL}/f"><button autofocus onfocus="window.hacked='focus'">x</button></form>
<a href="javascript:window.hacked='html link'">y</a> <b style="background:url({EVIL}/g.png)">z</b>

![picture]({EVIL}/h.png) ![inline](data:image/svg+xml;base64,PHN2Zy8+)
[one](javascript:window.hacked='link') [two](JaVaScRiPt:alert(1)) [three](data:text/html,<script>alert(1)</script>)
[four](vbscript:x) [five](&#106;avascript:window.hacked='entity') <javascript:window.hacked='auto'>
[six]({EVIL}/i "title\\" onmouseover=\\"window.hacked='title'")

| <img src=x onerror="window.hacked='cell'"> | b |
|---|---|
| `</code><script>window.hacked='code'</script>` | ![]({EVIL}/j.png) |

```html"><script>window.hacked='lang'</script>
</pre><script>window.hacked='pre'</script>
```
"""


async def assert_harmless(gateway: Gateway, tab: Tab) -> None:
    """Nothing ran, nothing was asked of anybody else, and nothing that could do either is in the page."""
    assert await tab.page.evaluate("window.hacked") is None
    assert [url for url in tab.outgoing if not url.startswith(gateway.service.url)] == []
    assert (
        await tab.page.locator(".turn :is(script, iframe, style, form, img, image), .reader :is(script, img)").count()
        == 0
    )
    for link in await tab.page.locator(".turn a").all():
        assert (await link.get_attribute("href") or "").startswith(("http://", "https://", "mailto:"))
        assert await link.get_attribute("rel") == "noopener noreferrer nofollow"


async def test_a_hostile_answer_is_only_shown(gateway: Gateway, tab: Tab) -> None:
    gateway.cloud.script = Answer(text=HOSTILE, pieces=[HOSTILE[at : at + 7] for at in range(0, len(HOSTILE), 7)])
    await tab.page.goto(f"{gateway.service.url}/ui")
    await ask(tab, "Be nasty")
    await expect(tab.page.locator(".facts")).to_be_visible()
    await expect(tab.page.locator(".markdown")).to_contain_text("<script>window.hacked")
    await expect(tab.page.get_by_role("link", name="picture").first).to_have_attribute("href", f"{EVIL}/h.png")
    await tab.page.locator(".turn").last.hover()
    await assert_harmless(gateway, tab)


async def test_a_hostile_document_is_only_shown(gateway: Gateway, tab: Tab) -> None:
    """In the list, among the results of a search, in the sources of an answer and in the reader."""
    title = "What the Pro plan costs a month <img src=x onerror=\"window.hacked='title'\">"
    await gateway.add({"id": "../evil?#", "title": title, "content": f"{PLANS}\n\n{HOSTILE}"}, sensitivity="public")
    gateway.cloud.script = Answer(text="See [1].")
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui#documents")
    await expect(page.locator(".document-title")).to_have_text(title)
    await page.get_by_label("Search the documents").fill("plans <script> .*")
    await page.keyboard.press("Enter")
    await page.get_by_role("list").get_by_role("button", name=title, exact=True).first.click()
    await expect(page.locator(".reader-text")).to_contain_text("<script>window.hacked")
    await assert_harmless(gateway, tab)
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Chat", exact=True).click()
    await ask(tab, "What does the Pro plan cost a month?")
    await page.locator(".source").first.click()
    await expect(page.locator(".reader-text")).to_contain_text("<script>window.hacked")
    await assert_harmless(gateway, tab)


@pytest.mark.slow
async def test_giant_answers_leave_the_page_responsive(gateway: Gateway, tab: Tab) -> None:
    """A megabyte in one word, ten thousand levels of quotation, and a table of many rows."""
    texts = iter(("x" * 1_000_000, "> " * 10_000 + "deep", "|a|b|\n|-|-|\n" + "|1|2|\n" * 3000))
    gateway.cloud.script = lambda request: Answer(text=next(texts)) if is_answer(request) else None
    page = tab.page
    await page.goto(f"{gateway.service.url}/ui")
    for number in range(1, 4):
        await ask(tab, f"Say much {number}")
        await expect(page.locator(".facts")).to_have_count(number, timeout=30_000)
    await page.get_by_role("link", name="Documents", exact=True).click()
    await expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
