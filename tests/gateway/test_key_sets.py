"""Tokens of an identity provider, whose key set is fetched through the egress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

from tests.support.asgi import serving
from tests.support.service import running


async def test_a_providers_token_says_whose_documents_are_seen(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    published = {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one"}
    provider = FastAPI()
    provider.add_api_route("/keys", lambda: {"keys": [published]})

    def token(**claims: str) -> dict[str, str]:
        signed = jwt.encode({"sub": "ada", "exp": 2**31, **claims}, key, algorithm="ES256", headers={"kid": "one"})
        return {"authorization": f"Bearer {signed}"}

    async with serving(provider) as url:
        settings: dict[str, Any] = {"jwt_jwks_url": f"{url}/keys", "jwt_tenant_claim": "org", "auth_required": True}
        async with running(tmp_path, vector_store="memory", **settings) as service:
            body = {"documents": [{"id": "d", "content": "moon"}]}
            async with service.client.post("/documents", json=body, headers=token(org="acme")) as response:
                assert response.status == 202
            for headers, status in ((token(org="acme"), 200), (token(org="globex"), 404), (token(), 401)):
                async with service.client.get("/documents/d", headers=headers) as response:
                    assert response.status == status
