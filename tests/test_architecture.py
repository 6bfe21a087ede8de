"""The rules of the layout that a reader relies on, checked against the source."""

import ast
import functools
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.config import Settings

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "app").rglob("*.py"))
# The commands that speak to a running service are clients of it, in processes of their own.
CLIENT_OF_THE_SERVICE = "app/cli/client.py"
HTTP_CLIENTS = ("aiohttp", "httpx", "http.client", "requests", "urllib.request", "urllib3")
LONGEST_MODULE = 350
# The nouns stand together on purpose, however many they are, and so do the seams.
ONE_PAGE = {"app/models.py", "app/protocols.py"}
LONGEST_FUNCTION = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every module that the code below `tree` imports by an absolute name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> list[Path]:
    """The sources that import `package` or something inside it."""
    return [
        path
        for path in SOURCES
        if any(name == package or name.startswith(f"{package}.") for name in imported_names(parse(path)))
    ]


def own_lines(function: Function) -> int:
    """The lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_imports_go_down_only_and_in_no_circle() -> None:
    """The contracts of pyproject.toml hold: the order of the layers, no cycle, no HTTP framework below the routers."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("package", "layer"),
    [
        ("litellm", "app/providers"),
        ("chromadb", "app/stores"),
        ("redis", "app/stores"),
        ("aiobotocore", "app/stores"),
        ("botocore", "app/stores"),
        ("opentelemetry", "app/exporters"),
    ],
)
def test_an_engine_is_imported_in_one_adapter_only(package: str, layer: str) -> None:
    """Each of the heavy engines is known to a single module or small package, in the layer of its kind."""
    modules = {"/".join(relative(path).removesuffix(".py").split("/")[:3]) for path in importers(package)}
    adapters = {module.partition("_")[0] for module in modules}  # redis_cache and its like are one family
    assert len(adapters) == 1, adapters
    assert adapters.pop().startswith(f"{layer}/")


@pytest.mark.parametrize("package", HTTP_CLIENTS)
def test_http_clients_are_imported_in_the_egress_only(package: str) -> None:
    """There is one way out: no module but the egress can open a connection to a model's server."""
    ways_out = {relative(path) for path in importers(package)} - {CLIENT_OF_THE_SERVICE}
    assert [path for path in ways_out if not path.startswith("app/egress")] == []


def test_no_module_is_too_long_to_read_in_one_sitting() -> None:
    """A module stays within 350 lines, the page of nouns and that of seams apart."""
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE and name not in ONE_PAGE} == {}


def test_no_function_is_too_long_to_see_at_once() -> None:
    """A function stays within 40 lines, not counting its docstring."""
    lengths = {
        f"{relative(path)}:{node.name}": own_lines(node)
        for path in SOURCES
        for node in ast.walk(parse(path))
        if isinstance(node, Function)
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


@pytest.fixture(name="example")
def fixture_example() -> dict[str, str]:
    """What `.env.example` says once every commented setting is in force."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    uncommented = re.sub(r"(?m)^# ?(?=[A-Z][A-Z0-9_]*=)", "", text)
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(uncommented)).items()}


def test_env_example_lists_every_setting(example: dict[str, str]) -> None:
    """`.env.example` names each setting, and nothing that is not one."""
    assert sorted(example) == sorted(name.upper() for name in Settings.model_fields)


def values(shown: dict[str, str]) -> dict[str, object]:
    """The settings that `shown` leads to, without the environment; paths are taken from the repository's root."""
    settings = Settings.model_validate(shown)
    pairs = ((name, getattr(settings, name)) for name in Settings.model_fields)
    return {name: ROOT / value if isinstance(value, Path) else value for name, value in pairs}


def test_env_example_shows_the_defaults(example: dict[str, str]) -> None:
    """The value that `.env.example` shows for a setting is its default; an empty one stands for unset."""
    assert values({name.lower(): value for name, value in example.items() if value}) == values({})
