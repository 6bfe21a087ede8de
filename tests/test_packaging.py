"""What ships the service (locks, container, make, continuous integration) agrees with the service and with itself."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import Settings

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-weights.txt", "requirements-aws.txt")
SETTINGS = {name.upper() for name in Settings.model_fields}
PIN = re.compile(r"(?m)^([a-z0-9][a-z0-9._-]*)==(\S+)((?:.*\\\n.*)*)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    """The version of each package that a lock names."""
    return {match[1]: match[2] for match in PIN.finditer(read(lock))}


def wanted(source: str) -> set[str]:
    """The packages that a `requirements*.in` asks for."""
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in read(source).splitlines() if line[:1].isalnum())
    return {name[0].lower() for name in names if name}


# Locks


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_index(lock: str) -> None:
    """Where packages come from is the business of the machine that installs them."""
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", read(lock)) is None


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_with_hashes(lock: str) -> None:
    """A package whose bytes changed is refused."""
    requirements = list(PIN.finditer(read(lock)))
    lines = [line for line in read(lock).splitlines() if line[:1].isalnum()]
    assert len(requirements) == len(lines)
    assert [match[1] for match in requirements if "--hash=sha256:" not in match[3]] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_what_its_source_asks_for(lock: str) -> None:
    """No dependency was added without `make lock`."""
    assert wanted(lock.replace(".txt", ".in")) <= pins(lock).keys()


def test_every_import_of_the_service_is_asked_for() -> None:
    """A package that the code imports is a dependency of its own right, not one that another happens to bring."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "app").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    foreign = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"app"}
    providers = packages_distributions()
    asked_for = {
        name.replace("_", "-")
        for source in ("requirements.in", "requirements-weights.in", "requirements-aws.in")
        for name in wanted(source)
    }
    missing = {
        module
        for module in foreign
        if not asked_for & {name.lower().replace("_", "-") for name in providers.get(module, (module,))}
    }
    assert missing == set()


def test_the_locks_agree_on_the_packages_they_share() -> None:
    """The tests run against the versions that serve."""
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    shared = runtime.keys() & development.keys()
    assert {name: development[name] for name in shared} == {name: runtime[name] for name in shared}


def test_no_lock_brings_torch() -> None:
    """The embedding model runs without the two gigabytes of the library it was made with."""
    assert not {"torch", "transformers", "sentence-transformers"} & {name for lock in LOCKS for name in pins(lock)}


# The container


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile in order, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", read("Dockerfile")))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def final_stage() -> list[tuple[str, str]]:
    steps = instructions()
    start = max(number for number, (word, _) in enumerate(steps) if word == "FROM")
    return steps[start:]


def test_what_the_dockerfile_copies_exists_and_reaches_the_builder() -> None:
    """Each path that is copied from the repository is there, and .dockerignore lets it through."""
    copied = [
        path for word, rest in instructions() if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]
    ]
    admitted = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert set(copied) == admitted


def test_stages_are_copied_from_under_their_own_names() -> None:
    """A `COPY --from` names a stage that the file defines."""
    text = read("Dockerfile")
    assert set(re.findall(r"--from=(\S+)", text)) <= set(re.findall(r"(?m)^FROM \S+ AS (\S+)$", text))


def test_the_image_installs_hashed_packages_only() -> None:
    """No `pip install` in the image goes around the locks."""
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert installs
    assert [rest for rest in installs if "--require-hashes" not in rest] == []


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    """The container has an unprivileged user, a volume for its data and a health check that needs no other program."""
    final = dict(final_stage())
    assert final["USER"] not in {"", "root", "0"}
    assert final["VOLUME"] == "/data"
    check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")
    assert "/health" in check[2]


def test_the_image_sets_only_settings_that_exist() -> None:
    """A setting that the image gives is one the service reads."""
    assigned = dict(pair.split("=", 1) for word, rest in final_stage() if word == "ENV" for pair in rest.split())
    interpreter = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    assert assigned.keys() - interpreter <= SETTINGS
    assert assigned["HOST"] == "0.0.0.0"


@pytest.fixture(name="compose")
def fixture_compose() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return compose


def test_compose_starts_the_service_with_redis_and_ollama(compose: dict[str, Any]) -> None:
    """The three services are there, others only by a profile, and the API waits for those it depends on."""
    started = {name for name, service in compose["services"].items() if "profiles" not in service}
    assert started == {"api", "redis", "ollama"}
    assert compose["services"]["api"]["depends_on"].keys() == {"redis", "ollama"}
    assert "healthcheck" in compose["services"]["redis"]


def test_compose_does_not_start_without_an_admin_key(compose: dict[str, Any]) -> None:
    """The key comes from the environment, and its absence is an error that says what to set."""
    assert compose["services"]["api"]["environment"]["ADMIN_KEY"].startswith("${ADMIN_KEY:?set ADMIN_KEY")


def test_compose_gives_only_settings_that_exist(compose: dict[str, Any]) -> None:
    """A variable that the API gets is a setting."""
    assert compose["services"]["api"]["environment"].keys() <= SETTINGS


def test_compose_publishes_on_loopback_only(compose: dict[str, Any]) -> None:
    """Nothing is reachable from other machines unless the operator changes the file."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert "127.0.0.1:8000:8000" in ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_declares_the_volumes_it_mounts(compose: dict[str, Any]) -> None:
    """What is to survive lies in named volumes that the file declares; else files of the repository are read."""
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    files = [mount for mount in mounts if mount.startswith("./")]
    assert {mount.partition(":")[0] for mount in mounts if mount not in files} == compose["volumes"].keys()
    for mount in files:
        assert (ROOT / mount.partition(":")[0]).is_dir()
        assert mount.endswith(":ro")


# Make and continuous integration


def test_make_leaves_the_settings_alone() -> None:
    """The environment wins over .env under make too: the Makefile reads no .env and assigns no setting."""
    makefile = read("Makefile")
    assert re.search(r"(?m)^-?s?include\b|^\s*export\b", makefile) is None
    assert not set(re.findall(r"(?m)^(?:override )?([A-Z_]+)\s*[:?+!]?=", makefile)) & SETTINGS


def test_continuous_integration_does_what_a_developer_does() -> None:
    """.ci/run is a program that stops at the first failure and calls `make test`."""
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "set -euo pipefail" in read(".ci/run")
    assert read(".ci/run").rstrip().endswith("make test")


def test_pre_commit_runs_the_tools_of_the_lock() -> None:
    """Every hook is local, so that the locks alone decide which version checks a commit."""
    repositories = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    assert {hook["id"] for hook in repositories[0]["hooks"]} >= {"ruff-check", "ruff-format", "mypy", "bandit"}


# Set-up scripts, run with made-up programs in front of the real ones


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run_script(name: str, *arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    shell = shutil.which("sh") or "/bin/sh"
    command = [shell, str(ROOT / "scripts" / name), *arguments]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    """With an old Python the set-up stops with one line that says what is needed and what was found."""
    old = program(tmp_path, "python", 'case "$1" in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac')
    result = run_script("create_venv.sh", str(old), str(tmp_path / "venv"), path=os.environ["PATH"])
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "3.11 or newer; found Python 3.9.2" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_package_is_not_installed_without_root(tmp_path: Path) -> None:
    """Where it may not install a package, the script prints the line that does and fails."""
    program(tmp_path, "id", "echo 1000")
    program(tmp_path, "apt-get", f"touch {tmp_path}/called")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    result = run_script("install_debian_package.sh", "redis-server", "a Redis", path=path)
    assert result.returncode == 1
    assert "sudo apt-get install redis-server" in result.stderr
    assert not (tmp_path / "called").exists()


def test_a_missing_package_is_installed_by_root_on_debian(tmp_path: Path) -> None:
    """As root on Debian the package is installed, and the script says so first."""
    program(tmp_path, "id", "echo 0")
    program(tmp_path, "apt-get", f'echo "$@" >>{tmp_path}/calls')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    result = run_script("install_debian_package.sh", "redis-server", "a Redis", path=path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "Installing the Debian package redis-server for a Redis\n"
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert calls[0].startswith("update")
    assert calls[1].startswith("install")
    assert calls[1].endswith(" redis-server")
