"""The OWASP API security top ten (2023), one test each; what they point to is tested in depth elsewhere."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.config import Settings
from app.errors import ConfigurationError
from app.routers.description import operations
from app.wiring import open_services
from tests.gateway.conftest import cloud_settings
from tests.gateway.test_tenancy import endpoints
from tests.support.behaviours import Redirect, Status
from tests.support.service import Service, isolated_settings, running
from tests.support.upstream import ScriptedUpstream

CANARY = "quixotropic"
HELLO: dict[str, Any] = {"message": "Hello", "documents": False, "cache": False}
TOKEN_SECRET = secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class House:
    """A protected gateway and the keys of its operator and of an ordinary caller."""

    service: Service
    cloud: ScriptedUpstream
    admin: dict[str, str]
    caller: dict[str, str]

    async def ask(self, method: str, path: str, headers: dict[str, str], **options: Any) -> tuple[int, str]:
        """The status and the text of the answer."""
        async with self.service.client.request(method, path, headers=headers, **options) as response:
            return response.status, await response.text()

    async def key(self, **fields: Any) -> dict[str, str]:
        async with self.service.client.post("/keys", json={"name": "test", **fields}, headers=self.admin) as response:
            return {"authorization": f"Bearer {(await response.json())['key']}"}


@pytest.fixture
async def house(tmp_path: Path, openai_upstream: ScriptedUpstream) -> AsyncIterator[House]:
    admin = secrets.token_hex(16)
    access = {"auth_required": True, "admin_key": admin, "jwt_secret": TOKEN_SECRET}
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", **access}
    async with running(tmp_path, **settings) as service:
        headers = {"authorization": f"Bearer {admin}"}
        bare = House(service, openai_upstream, headers, {})
        yield House(service, openai_upstream, headers, await bare.key(tenant="acme"))


async def test_api1_broken_object_level_authorization(house: House) -> None:
    """An id alone opens nothing: what belongs to another tenant is not there."""
    body = {"documents": [{"id": "d", "content": CANARY}]}
    assert (await house.ask("POST", "/documents?wait=true", house.caller, json=body))[0] == 200
    stranger = await house.key(tenant="globex")
    for method in ("GET", "DELETE"):
        status, text = await house.ask(method, "/documents/d", stranger)
        assert (status, CANARY in text) == (404, False)
    assert (await house.ask("GET", "/documents/d", house.caller))[0] == 200


async def test_api2_broken_authentication(house: House) -> None:
    """Nothing but a key or token of ours is one, in no place but its own, and all that is not is told the same."""
    forged = jwt.encode({"sub": "a", "exp": 2**31, "scope": "admin"}, secrets.token_hex(32), algorithm="HS256")
    unsigned = jwt.encode({"sub": "a", "exp": 2**31, "scope": "admin"}, "", algorithm="none")
    admin = house.admin["authorization"].removeprefix("Bearer ")
    answers = set()
    for headers in (
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {admin[:-1]}"},
        {"authorization": f"Basic {admin}"},
        {"authorization": f"Bearer {forged}"},
        {"authorization": f"Bearer {unsigned}"},
        {"authorization": "Bearer sk-sluice-0123456789abcdef-x"},
        {"cookie": f"key={admin}"},
    ):
        answers.add(await house.ask("GET", f"/models?key={admin}", headers))
    assert len(answers) == 1
    [(status, text)] = answers
    assert (status, "invalid_api_key" in text) == (401, True)


async def test_api3_broken_object_property_level_authorization(house: House, subtests: pytest.Subtests) -> None:
    """No body sets what is not the caller's to set."""
    foreign = ("admin", "operator", "key_id", "mark", "label", "scope", "role", "is_admin", "created_at")
    for name, operation in operations(house.service.app.openapi()):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if body is None:
            continue
        method, _, path = name.partition(" ")
        fields = [*foreign, *([] if name == "post /keys" else ["tenant"]), *([] if "keys" in name else ["clearance"])]
        with subtests.test(name):
            for field in fields:
                sent = {**body, field: "confidential"}
                url = path.format(key_id="any", document_id="any", session_id="any", name="any")
                status, text = await house.ask(method, url, house.admin, json=sent)
                assert (status, field in text) == (400 if path.startswith("/v1") else 422, True)


async def test_api4_unrestricted_resource_consumption(house: House) -> None:
    """Size, depth and rate are bounded."""
    key = await house.key(requests_per_minute=1)
    for data, status in ((b"[" * 100_000, 400), (b" " * (33 * 1024 * 1024), 413)):
        headers = {**house.caller, "content-type": "application/json"}
        assert (await house.ask("POST", "/chat", headers, data=io.BytesIO(data)))[0] == status
    long = {"query": "x" * 8001}
    assert (await house.ask("POST", "/search", house.caller, json=long))[0] == 422
    assert [(await house.ask("POST", "/chat", key, json=HELLO))[0] for _ in range(2)] == [200, 429]


async def test_api5_broken_function_level_authorization(house: House) -> None:
    """What only an admin may do no other key does, by no method."""
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        for path in ("/keys", "/keys/any", "/keys/any/rotate"):
            status, _ = await house.ask(method, path, house.caller, json={"name": "a", "scopes": ["admin"]})
            assert status in (403, 405), (method, path)
    token = jwt.encode({"sub": "a", "exp": 2**31, "admin": True, "role": "admin"}, TOKEN_SECRET, algorithm="HS256")
    assert (await house.ask("GET", "/keys", {"authorization": f"Bearer {token}"}))[0] == 403


async def test_api6_unrestricted_access_to_sensitive_business_flows(house: House) -> None:
    """Spending is the flow to protect: what an answer may cost is reserved before it begins."""
    key = await house.key(tokens_per_minute=1000)
    assert (await house.ask("POST", "/chat", key, json={**HELLO, "max_tokens": 1001}))[0] == 400
    assert len(house.cloud.completions) == 0
    poor = await house.key(budget={"day": 0.000001})
    assert (await house.ask("POST", "/chat", poor, json={**HELLO, "model": "openai/gpt-4o"}))[0] == 429
    assert len(house.cloud.completions) == 0
    outside = await house.key(models=["openai/another"])
    assert (await house.ask("POST", "/chat", outside, json=HELLO))[0] == 403
    assert len(house.cloud.completions) == 0


async def test_api7_server_side_request_forgery(house: House, tmp_path: Path) -> None:
    """No URL of a caller is fetched: pictures are passed on or refused, and nothing else may be one."""
    inside = f"{house.cloud.origin}/secret"
    connections = house.cloud.connections
    for url in (inside, "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://127.0.0.1"):
        picture = {"type": "image_url", "image_url": {"url": url}}
        for path, status in (("/chat", 422), ("/v1/chat/completions", 400)):
            body = {"model": "auto", "messages": [{"role": "user", "content": [picture]}]}
            assert (await house.ask("POST", path, house.caller, json=body))[0] == status
    page = {"documents": [{"id": "d", "content": f'<img src="{inside}"> {inside}'}]}
    assert (await house.ask("POST", "/documents?wait=true", house.caller, json=page))[0] == 200
    for field in ("base_url", "api_base", "jwks_url", "webhook"):
        assert (await house.ask("POST", "/chat", house.caller, json={**HELLO, field: inside}))[0] == 422
    assert house.cloud.connections == connections
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    for name, more in (("jwt_jwks_url", {}), ("budget_webhook_url", {"budget_webhook_secret": secret})):
        addressed = {name: "https://192.0.2.1/path", **more}
        settings = isolated_settings(tmp_path / name, vector_store="memory", **addressed)
        with pytest.raises(ConfigurationError, match=name.upper()):
            async with open_services(settings):
                pass


async def test_api8_security_misconfiguration(house: House, tmp_path: Path) -> None:
    """What is not set is safe: no page of another origin may read, nothing is guessed, weak secrets stop the start."""
    headers = {**house.caller, "origin": "https://elsewhere.test"}
    async with house.service.client.get("/models", headers=headers) as response:
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["x-content-type-options"] == "nosniff"
    async with house.service.client.get("/docs") as response:
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    defaults = Settings.model_fields
    assert (defaults["debug"].default, defaults["host"].default) == (False, "127.0.0.1")
    for weak in (
        {"admin_key": "changeme"},
        {"admin_key": "short"},
        {"jwt_secret": "x" * 31},
        {"jwt_secret": "x" * 64},
        {"jwt_jwks_url": "ftp://127.0.0.1/keys"},
        {"budget_webhook_url": "http://127.0.0.1/hook"},
        {"host": "0.0.0.0"},
    ):
        with pytest.raises(ConfigurationError):
            isolated_settings(tmp_path, **weak)


async def test_api9_improper_inventory_management(house: House) -> None:
    """Every endpoint that there is is documented, but for the pages that document them and one older name."""
    documented = {name for name, _ in operations(house.service.app.openapi())}
    unlisted = {name for name, _ in endpoints(house.service.app)} - documented
    assert unlisted == {"get /docs", "get /redoc", "get /ui", "get /chat/metadata/available_models"}


async def test_api10_unsafe_consumption_of_apis(house: House) -> None:
    """What a model's server says is not obeyed: no redirect is followed, no word of its errors is passed on."""
    house.cloud.script = Redirect(location=f"{house.service.url}/chat")
    assert (await house.ask("POST", "/chat", house.caller, json=HELLO))[0] in (502, 503)
    for status in (400, 401, 500):
        house.cloud.script = Status(status, message=CANARY)
        code, text = await house.ask("POST", "/chat", house.caller, json=HELLO)
        assert code >= 400
        assert CANARY not in text
