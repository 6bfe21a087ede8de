"""The clients' locks pin bytes, and leave where they come from to the machine that installs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent
PYTHON_LOCKS = sorted(CLIENTS.glob("*/requirements.txt"))


@pytest.mark.parametrize("lock", PYTHON_LOCKS, ids=lambda lock: lock.parent.name)
def test_every_python_package_is_pinned_with_hashes_and_without_a_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    pins = re.findall(r"(?m)^[a-z0-9][\w.-]*(?:\[[\w,-]+\])?==\S+(?:.*\\\n.*)*", text)
    assert pins
    assert len(pins) == len([line for line in text.splitlines() if line[:1].isalnum()])
    assert all("--hash=sha256:" in pin for pin in pins)
    assert "://" not in text


def test_every_node_package_is_pinned_with_its_digest_and_without_a_host() -> None:
    packages = json.loads((CLIENTS / "node" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    assert all(package["integrity"].startswith("sha512-") for package in installed.values())
    assert not any("resolved" in package for package in installed.values())
