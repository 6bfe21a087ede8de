"""The files under deploy/ agree with the service, with each other, and with what their readers take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.cli.serving import DRAIN_SECONDS
from app.config import Settings
from app.main import create_app
from tests.support.service import isolated_settings

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {name.upper() for name in Settings.model_fields}
OWN_IMAGE = "sluice:"
# The oldest version of the Kubernetes API that the manifest is written for.
KUBERNETES = "1.29"


def read(name: str) -> str:
    return (ROOT / "deploy" / name).read_text(encoding="utf-8")


@pytest.fixture(name="compose")
def fixture_compose() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return compose


@pytest.fixture(name="manifest")
def fixture_manifest() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(read("kubernetes.yaml")))


def pods(manifest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["spec"]["template"] for each in manifest if each["kind"] == "Deployment"]


# Compose


def test_compose_scales_the_api_behind_a_proxy(compose: dict[str, Any]) -> None:
    """Nothing of the API binds a port, a name or a volume of which there is only one."""
    api = compose["services"]["api"]
    assert not {"ports", "container_name", "volumes"} & api.keys()
    assert "api" in compose["services"]["proxy"]["depends_on"]
    assert re.search(r"server api:8000 resolve", read("nginx.conf"))


def test_compose_gives_only_settings_that_exist_and_invents_no_secret(compose: dict[str, Any]) -> None:
    for name in ("api", "worker"):
        environment = compose["services"][name]["environment"]
        assert environment.keys() <= SETTINGS
        assert "${POSTGRES_PASSWORD:?" in environment["DATABASE_URL"]
        assert environment["ADMIN_KEY"].startswith("${ADMIN_KEY:?")


def test_compose_names_services_and_volumes_that_it_declares(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        named = {mount.partition(":")[0] for mount in service.get("volumes", ()) if not mount.startswith(".")}
        assert named <= compose["volumes"].keys()
    hosts = re.findall(r"://(?:[^@/\s]*@)?(\w+):\d+", services["api"]["environment"]["DATABASE_URL"])
    assert set(hosts) <= services.keys()


def test_the_chroma_server_is_the_version_of_the_library(compose: dict[str, Any]) -> None:
    pinned = re.search(r"(?m)^chromadb==(\S+)", (ROOT / "requirements.txt").read_text())
    assert pinned is not None
    assert compose["services"]["chroma"]["image"] == f"chromadb/chroma:{pinned[1]}"


def test_only_the_proxy_is_published_and_on_loopback(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"proxy": ["127.0.0.1:8000:8080"]}


# nginx


def test_the_proxy_holds_no_stream_back() -> None:
    conf = read("nginx.conf")
    for directive in ("proxy_buffering off;", "proxy_request_buffering off;", "client_max_body_size 0;"):
        assert directive in conf
    assert "non_idempotent" not in conf


# Kubernetes


@pytest.mark.parametrize("version", [KUBERNETES, kubernetes_validate.latest_version()])
def test_every_object_fits_the_schema_of_its_kind(manifest: list[dict[str, Any]], version: str) -> None:
    """No field is unknown or of another type, in the oldest version and in the newest that the validator knows."""
    for each in manifest:
        kubernetes_validate.validate(each, version, strict=True)
    assert len({(each["kind"], each["metadata"]["name"]) for each in manifest}) == len(manifest)


def test_the_validator_finds_a_misspelt_field(manifest: list[dict[str, Any]]) -> None:
    api = next(each for each in manifest if each["kind"] == "Deployment")
    pods([api])[0]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(api, KUBERNETES, strict=True)


def test_selectors_find_the_pods_that_they_mean(manifest: list[dict[str, Any]]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(manifest)]
    for each in manifest:
        if each["kind"] == "ConfigMap":
            continue
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert sum(wanted.items() <= label.items() for label in labels) == 1


def test_containers_have_ports_and_volumes_that_there_are(manifest: list[dict[str, Any]]) -> None:
    for pod in pods(manifest):
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            ports = {port["name"] for port in container.get("ports", ())}
            probes = [probe for name, probe in container.items() if name.endswith("Probe")]
            assert {probe["httpGet"]["port"] for probe in probes} <= ports
            assert container["image"].startswith(OWN_IMAGE)


def test_probes_ask_paths_that_the_service_has(manifest: list[dict[str, Any]], tmp_path: Path) -> None:
    paths = create_app(isolated_settings(tmp_path)).openapi()["paths"].keys()
    asked = re.findall(r"httpGet: \{path: ([^,]+),", read("kubernetes.yaml"))
    assert len(asked) == 3
    assert set(asked) <= paths
    assert manifest


def test_pods_are_given_settings_that_exist(manifest: list[dict[str, Any]]) -> None:
    [config] = [each for each in manifest if each["kind"] == "ConfigMap"]
    named = {variable["name"] for pod in pods(manifest) for variable in pod["spec"]["containers"][0].get("env", ())}
    literals = set(re.findall(r"--from-literal=([A-Z_]+)=", read("kubernetes.yaml")))
    assert config["data"].keys() | named | literals <= SETTINGS
    assert all(isinstance(value, str) for value in config["data"].values())


def test_pods_stop_later_than_their_streams_end(manifest: list[dict[str, Any]]) -> None:
    """And they run as nobody in particular, on a file system that they cannot write to."""
    api, _ = pods(manifest)
    [command] = [api["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]]
    assert api["spec"]["terminationGracePeriodSeconds"] > int(command[1]) + DRAIN_SECONDS
    for pod in pods(manifest):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
