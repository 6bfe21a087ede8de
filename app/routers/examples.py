"""Examples for the OpenAPI document: a request and an answer for each operation, as they go over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.routers.access_examples import KEY, NEW_KEY, USAGE_AS_CSV, USAGE_PAGE

JSON = "application/json"
EVENTS = "text/event-stream"
TEXT = "text/plain"
MARKDOWN = "text/markdown"

MODEL = "openai/gpt-4o"
TIME = "2026-01-01T12:00:00+00:00"
QUESTION = "How long does the moon take to orbit the Earth?"
ANSWER = "The moon orbits the Earth every 27 days."
QUOTED: dict[str, Any] = {"text": ANSWER, "start": 0, "end": 40, "page": None}
PASSAGE: dict[str, Any] = {
    "number": 1,
    "document_id": "moon",
    "version": "3f2b8c1e9a7d4f60b5c2d1e0f9a8b7c6",
    "title": "Moon",
    "content": ANSWER,
    "score": 0.8421,
    "collection": "default",
    "passage": "3f2b8c1e9a7d4f60b5c2d1e0f9a8b7c6:0",
    "quote": ANSWER,
    "page": None,
    "start": 0,
    "end": 40,
    "supported": True,
}
CLAIM: dict[str, Any] = {
    "text": ANSWER,
    "start": 0,
    "end": 40,
    "citations": [],
    "supported": True,
    "evidence": [{"citation": 1, **QUOTED}],
}

ROUTE: dict[str, Any] = {
    "label": "public",
    "raised_by": [],
    "rule": "simple",
    "candidates": [{"model": MODEL, "dropped": None}],
    "attempts": [{"model": MODEL, "outcome": "ok"}],
    "cache": "miss",
    "history": "none",
}
USAGE: dict[str, Any] = {"prompt_tokens": 58, "completion_tokens": 12, "total_tokens": 70, "estimated": False}
CHAT: dict[str, Any] = {
    "id": "0b0e6f1c-4d7c-4a8e-9d3e-0a1b2c3d4e5f",
    "message": ANSWER,
    "model_used": MODEL,
    "tokens_used": 70,
    "cost": 0.000265,
    "cached": False,
    "sensitivity": "public",
    "complexity": "simple",
    "session_id": None,
    "timestamp": TIME,
    "finish_reason": "stop",
    "usage": USAGE,
    "citations": [PASSAGE],
    "grounding": {"outcome": "supported", "claims": [CLAIM]},
    "route": ROUTE,
}
SESSION: dict[str, Any] = {
    "id": "trip",
    "title": "How long the moon takes",
    "model_id": None,
    "user_id": "ada",
    "sensitivity": "public",
    "created_at": TIME,
    "updated_at": TIME,
}
SESSION_MESSAGE: dict[str, Any] = {
    "id": "0b0e6f1c4d7c4a8e9d3e0a1b2c3d4e5f",
    "parent_id": "root",
    "siblings": ["0b0e6f1c4d7c4a8e9d3e0a1b2c3d4e5f"],
    "role": "user",
    "content": QUESTION,
    "name": None,
    "tool_calls": [],
    "tool_call_id": None,
    "model": None,
    "sensitivity": "public",
    "complete": True,
    "created_at": TIME,
}
EVENT = {"data": '{"content":"The moon orbits "}'}
DOCUMENT: dict[str, Any] = {
    "id": "moon",
    "collection": "default",
    "title": "Moon",
    "status": "indexed",
    "sensitivity": "internal",
    "media_type": "text/plain",
    "size": 40,
    "chunks": 1,
    "progress": {"stage": None, "done": 0, "total": 0},
    "warnings": [],
    "metadata": {"topic": "astronomy"},
    "error": None,
    "created_at": TIME,
    "updated_at": TIME,
}
PENDING: dict[str, Any] = {**DOCUMENT, "status": "pending", "chunks": 0}
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-0b0e6f1c-4d7c-4a8e-9d3e-0a1b2c3d4e5f",
    "object": "chat.completion",
    "created": 1767268800,
    "model": MODEL,
    "system_fingerprint": None,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 18, "completion_tokens": 12, "total_tokens": 30},
    "sluice": {
        "sensitivity": "public",
        "complexity": "simple",
        "session_id": None,
        "cached": False,
        "cost": 0.000165,
        "usage_estimated": False,
        "citations": [],
        "grounding": {"outcome": "no_documents", "claims": []},
        "route": ROUTE,
    },
}
CHUNK_EVENT = {
    "data": (
        '{"id":"chatcmpl-0b0e6f1c-4d7c-4a8e-9d3e-0a1b2c3d4e5f","object":"chat.completion.chunk","created":1767268800,'
        '"model":"openai/gpt-4o","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":"The moon "},'
        '"logprobs":null,"finish_reason":null}]}'
    )
}
CATALOG_MODEL: dict[str, Any] = {
    "id": MODEL,
    "name": "GPT-4o",
    "description": "General model without reasoning; obeys a temperature.",
    "context_length": 128000,
    "supports_vision": True,
    "pricing": {"prompt": 0.0000025, "completion": 0.00001},
    "locality": "cloud",
    "clearance": "internal",
    "available": True,
    "breaker": "closed",
    "fallback": {"moderate": 1, "complex": 3},
}
DECISION: dict[str, Any] = {
    "time": TIME,
    "request_id": "0b0e6f1c-4d7c-4a8e-9d3e-0a1b2c3d4e5f",
    "tenant": "default",
    "label": "public",
    "raised_by": [],
    "rule": "simple",
    "model": MODEL,
    "locality": "cloud",
    "outcome": "ok",
    "cached": False,
    "seconds": 1.42,
    "first_token_seconds": 0.31,
    "prompt_tokens": 58,
    "completion_tokens": 12,
    "cost": 0.000265,
    "saved": 0.0,
}
LISTED: dict[str, Any] = {"id": MODEL, "object": "model", "created": 0, "owned_by": "openai", "available": True}
EMBEDDING: dict[str, Any] = {"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456, 0.0789]}

CACHE_PARTITION: dict[str, Any] = {
    "tenant": "default",
    "label": "public",
    "lookups": 4,
    "exact_hits": 2,
    "semantic_hits": 0,
    "shared_calls": 1,
    "hit_rate": 0.75,
    "kept": 1,
    "kept_bytes": 812,
    "saved_usd": 0.00053,
    "saved_seconds": 2.4,
}

CACHE_STATISTICS: dict[str, Any] = {
    "open_calls": 0,
    "bytes_held": 1254,
    "server_bytes": None,
    "totals": {name: value for name, value in CACHE_PARTITION.items() if name not in ("tenant", "label")},
    "partitions": [CACHE_PARTITION],
}

CHAT_REQUEST: dict[str, Any] = {"message": QUESTION, "documents": True, "temperature": 0.2}

# By operation, then by media type.
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "post /chat": {JSON: CHAT_REQUEST},
    "post /chat/stream": {JSON: CHAT_REQUEST},
    "post /route": {JSON: CHAT_REQUEST},
    "post /documents": {
        JSON: {
            "documents": [{"id": "moon", "title": "Moon", "content": ANSWER, "metadata": {"topic": "astronomy"}}],
            "sensitivity": "internal",
        },
    },
    "post /documents/{document_id}/declassify": {JSON: {"sensitivity": "public", "reason": "ticket-4711"}},
    "put /collections/{name}": {JSON: {"floor": "confidential"}},
    "post /search": {JSON: {"query": QUESTION, "limit": 3}},
    "post /sessions": {JSON: {"id": "trip", "title": "The moon", "user_id": "ada"}},
    "patch /sessions/{session_id}": {JSON: {"title": "The moon"}},
    "post /cache/feedback": {JSON: {"request": CHAT_REQUEST, "wrong": True}},
    "post /v1/chat/completions": {JSON: {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}},
    "post /v1/embeddings": {JSON: {"model": "auto", "input": [ANSWER]}},
    "post /keys": {
        JSON: {
            "name": "search team",
            "tenant": "acme",
            "clearance": "internal",
            "scopes": ["chat", "search"],
            "requests_per_minute": 100,
        }
    },
    "patch /keys/{key_id}": {JSON: {"requests_per_minute": 100}},
    "post /keys/{key_id}/rotate": {JSON: {"overlap": 3600}},
}

# By operation, then by status and media type.
REPLIES: Mapping[str, Mapping[tuple[str, str], Any]] = {
    "post /chat": {("200", JSON): CHAT, ("200", EVENTS): EVENT},
    "post /chat/stream": {("200", EVENTS): EVENT},
    "post /route": {
        ("200", JSON): {
            "sensitivity": "public",
            "complexity": "simple",
            "complexity_score": 0.12,
            "model": MODEL,
            "route": {
                **ROUTE,
                "candidates": [
                    {**candidate, "pricing": None, "breaker": "closed"} for candidate in ROUTE["candidates"]
                ],
                "attempts": [],
            },
        }
    },
    "post /documents": {
        ("202", JSON): {"documents": [PENDING]},
        ("200", JSON): {"documents": [DOCUMENT]},
    },
    "get /documents": {("200", JSON): {"documents": [DOCUMENT], "next": None}},
    "get /documents/{document_id}": {("200", JSON): DOCUMENT},
    "get /documents/{document_id}/events": {
        ("200", EVENTS): {"data": '{"id":"moon","status":"indexing","progress":{"stage":"embed","done":1,"total":4}}'}
    },
    "get /documents/{document_id}/text": {
        ("200", JSON): {
            "id": "moon",
            "collection": "default",
            "title": "Moon",
            "sensitivity": "internal",
            "length": 40,
            "start": 0,
            "text": ANSWER,
            "passage": {"start": 0, "length": 40},
        }
    },
    "get /decisions": {("200", JSON): {"decisions": [DECISION], "count": 1}},
    "post /documents/{document_id}/declassify": {("202", JSON): {**PENDING, "sensitivity": "public"}},
    "put /collections/{name}": {("200", JSON): {"name": "handbook", "floor": "confidential", "raised": 3}},
    "post /search": {
        ("200", JSON): {
            "documents": [
                {
                    "id": "4f2b:0",
                    "content": ANSWER,
                    "metadata": {
                        "topic": "astronomy",
                        "document_id": "moon",
                        "title": "Moon",
                        "collection": "default",
                        "sensitivity": "internal",
                    },
                    "score": 0.842137,
                }
            ],
            "query": QUESTION,
            "count": 1,
        }
    },
    "post /sessions": {("201", JSON): {**SESSION, "messages": [], "previous": None}},
    "get /sessions": {("200", JSON): {"sessions": [SESSION], "next": None}},
    "get /sessions/{session_id}": {("200", JSON): {**SESSION, "messages": [SESSION_MESSAGE], "previous": None}},
    "patch /sessions/{session_id}": {("200", JSON): {**SESSION, "title": "The moon"}},
    "get /sessions/{session_id}/export": {
        ("200", JSON): {**SESSION, "messages": [SESSION_MESSAGE], "active": SESSION_MESSAGE["id"]},
        ("200", MARKDOWN): "# The moon\n\n## user\n\nHow long does the moon take to orbit the Earth?\n",
    },
    "get /history/{user_id}": {
        ("200", JSON): {"user_id": "ada", "messages": [{**SESSION_MESSAGE, "siblings": [], "session_id": "trip"}]}
    },
    "post /v1/chat/completions": {("200", JSON): COMPLETION, ("200", EVENTS): CHUNK_EVENT},
    "post /v1/embeddings": {
        ("200", JSON): {
            "object": "list",
            "data": [EMBEDDING],
            "model": "builtin/all-MiniLM-L6-v2",
            "usage": {"prompt_tokens": 10, "total_tokens": 10},
        }
    },
    "get /v1/models": {("200", JSON): {"object": "list", "data": [LISTED]}},
    "get /v1/models/{name}": {("200", JSON): LISTED},
    "get /models": {("200", JSON): {"models": [CATALOG_MODEL], "count": 1}},
    "post /cache/feedback": {("200", JSON): {"forgotten": True}},
    "get /cache": {("200", JSON): CACHE_STATISTICS},
    "post /keys": {("201", JSON): NEW_KEY},
    "get /keys": {("200", JSON): {"keys": [KEY]}},
    "get /usage": {("200", JSON): USAGE_PAGE, ("200", "text/csv"): USAGE_AS_CSV},
    "get /keys/{key_id}": {("200", JSON): KEY},
    "patch /keys/{key_id}": {("200", JSON): KEY},
    "post /keys/{key_id}/rotate": {("200", JSON): NEW_KEY},
    "get /": {("200", JSON): {"message": "Sluice", "version": "0.1.0", "docs": "/docs", "status": "running"}},
    "get /health": {
        ("200", JSON): {
            "status": "healthy",
            "checks": {"database": {"status": "ok"}, "vector_store": {"status": "ok"}, "cache": {"status": "ok"}},
            "timestamp": TIME,
            "version": "0.1.0",
        }
    },
    "get /ready": {("200", JSON): {"ready": True}, ("503", JSON): {"ready": False}},
    "get /metrics": {("200", TEXT): '# TYPE sluice_requests_total counter\nsluice_requests_total{outcome="ok"} 1.0\n'},
}
