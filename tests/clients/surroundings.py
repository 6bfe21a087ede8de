"""What a client's suite knows of where it runs: the gateway, a key to it, and the model behind it."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.request import Request, urlopen

BASE_URL = f"{os.environ['SLUICE_URL']}/v1"
KEY = os.environ["SLUICE_KEY"]
UPSTREAM_URL = os.environ["UPSTREAM_URL"]

MODEL = "openai/gpt-4o"
TEXT = "Water boils at 100 degrees."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
PATIENCE_SECONDS = 10.0


def count_cancelled() -> int:
    """How many of the model's answers were left before their end."""
    return _ask_upstream("/cancelled?above=-1")


def wait_cancelled(*, above: int) -> None:
    """Return once more answers than that were left; raises `TimeoutError` if it takes too long."""
    _ask_upstream(f"/cancelled?above={above}")


def add_document() -> str:
    """Put in a document that bears on when water boils; its title."""
    document = {"id": "boiling", "title": "Boiling", "content": "Water boils at 100 degrees.", "sensitivity": "public"}
    body = json.dumps({"documents": [document]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    url = f"{os.environ['SLUICE_URL']}/documents?wait=true"
    with urlopen(Request(url, data=body, headers=headers), timeout=PATIENCE_SECONDS) as response:  # loopback
        assert response.status == 200
    return document["title"]


def _ask_upstream(target: str) -> int:
    with urlopen(Request(f"{UPSTREAM_URL}{target}"), timeout=PATIENCE_SECONDS) as response:  # loopback
        answer: Any = json.load(response)
    count: int = answer["cancelled"]
    return count
