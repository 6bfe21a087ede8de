"""What the README says is so: paths, commands, endpoints, settings and the output it shows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from app.config import Settings
from app.main import create_app
from tests.support.process import ServiceProcess
from tests.support.service import isolated_settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")))
QUICKSTART = re.search(r"\$ examples/quickstart\.sh\n(.*?)```", README, re.DOTALL)
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"[`$] ?make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert {"run", "test"} <= named
    assert named <= targets


def test_the_table_of_endpoints_and_the_api_agree(tmp_path: Path) -> None:
    described = create_app(isolated_settings(tmp_path)).openapi()["paths"]
    real = {(method.upper(), path) for path, methods in described.items() for method in methods}
    told = set(re.findall(rf"`({'|'.join(METHODS)}) (/[^`?]*)`", README))
    beside = {("GET", path) for path in ("/docs", "/redoc", "/openapi.json", "/ui")}
    assert told - beside <= real
    assert real - {("GET", "/")} <= told


def test_the_table_of_settings_names_every_setting() -> None:
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    names = " ".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE))
    assert set(re.findall(r"`([A-Z_]+)`", names)) == {name.upper() for name in Settings.model_fields}


async def test_the_quickstart_prints_what_the_readme_shows(tmp_path: Path) -> None:
    assert QUICKSTART is not None
    async with ServiceProcess(tmp_path) as service:
        script = ROOT / "examples" / "quickstart.sh"
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SLUICE_URL": service.url}
        run = subprocess.run([script], capture_output=True, text=True, env=environment, check=False)  # noqa: ASYNC221  (the service is another process)
    assert run.returncode == 0, run.stderr
    assert without_figures(run.stdout) == without_figures(QUICKSTART[1])


def without_figures(text: str) -> str:
    """The text without what differs between runs and processors: ids, figures, blank lines."""
    text = re.sub(r'"id":"[0-9a-f]+"', '"id":"ID"', text)
    return re.sub(r"\d+(?:\.\d+)?", "N", "\n".join(line for line in text.splitlines() if line.strip()))
