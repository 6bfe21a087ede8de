"""Examples for the OpenAPI document: keys, and what was used with them."""

from __future__ import annotations

from typing import Any

KEY: dict[str, Any] = {
    "id": "5f0c9a1b2d3e4f60",
    "prefix": "sk-sluice-5f0c9a1b2d3e4f60",
    "name": "search team",
    "tenant": "acme",
    "owner": None,
    "clearance": "internal",
    "label_floor": "public",
    "scopes": ["chat", "search"],
    "models": None,
    "requests_per_minute": 100,
    "tokens_per_minute": None,
    "concurrent_streams": None,
    "budget": {"day": None, "month": None},
    "semantic_cache": False,
    "created_at": "2026-01-01T12:00:00+00:00",
    "expires_at": None,
    "revoked_at": None,
}
NEW_KEY: dict[str, Any] = {"id": KEY["id"], "key": f"{KEY['prefix']}-..."}

_USED: dict[str, Any] = {
    "requests": 3,
    "cached_requests": 1,
    "calls": 2,
    "prompt_tokens": 1240,
    "completion_tokens": 310,
    "total_tokens": 1550,
    "estimated_tokens": 0,
    "cached_tokens": 1024,
    "cache_write_tokens": 0,
    "image_tokens": 0,
    "audio_tokens": 0,
    "reasoning_tokens": 128,
    "cost": 0.0062,
}
USAGE_PAGE: dict[str, Any] = {
    "from": "2026-01-01",
    "to": "2026-01-31",
    "usage": [{"day": "2026-01-15", "model": "openai/gpt-4o", **_USED}],
    "total": _USED,
    "next": None,
}
USAGE_AS_CSV = ",".join(USAGE_PAGE["usage"][0]) + "\n" + ",".join(map(str, USAGE_PAGE["usage"][0].values())) + "\n"
