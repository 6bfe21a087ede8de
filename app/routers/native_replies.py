"""Parts of answers in the native form, which other surfaces show too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.models import (
    Attempt,
    Citation,
    Grounding,
    Model,
    Route,
    Usage,
)
from app.services.catalog import CatalogView


def usage_reply(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "estimated": usage.estimated,
    }


def citation_replies(citations: tuple[Citation, ...]) -> list[dict[str, Any]]:
    return [
        {
            "number": citation.number,
            "document_id": citation.document_id,
            "version": citation.version,
            "title": citation.title,
            "content": citation.content,
            "score": round(citation.score, 4),
            "collection": citation.collection,
            "passage": citation.passage,
            "quote": citation.quote,
            "page": citation.page,
            "start": citation.start,
            "end": citation.end,
            "supported": citation.supported,
        }
        for citation in citations
    ]


def pricing_reply(model: Model | None) -> dict[str, float] | None:
    """US dollars for a token, `None` if the price is unknown."""
    price = model.price if model is not None else None
    return None if price is None else {"prompt": price.prompt, "completion": price.completion}


def breaker_word(model: str, *, view: CatalogView) -> str:
    """An open breaker sends a model to the end of every plan, refusing nothing."""
    return "open" if model in view.health.open else "closed"


def _attempt_reply(attempt: Attempt) -> dict[str, Any]:
    reply: dict[str, Any] = {"model": attempt.model, "outcome": attempt.outcome}
    if attempt.usage is not None:
        reply["usage"] = usage_reply(attempt.usage)
    if attempt.check is not None:
        reply["check"] = attempt.check
    return reply


def grounding_reply(grounding: Grounding) -> dict[str, Any]:
    """What was checked: each claim of the answer with its place there and the evidence for it."""
    return {"outcome": grounding.outcome, "claims": [asdict(claim) for claim in grounding.claims]}


def route_reply(route: Route) -> dict[str, Any]:
    """The explanation of a route: names, numbers and positions, never text."""
    return {
        "label": route.label.word,
        "raised_by": [
            {"detector": finding.detector, "where": finding.where, "count": finding.count}
            for finding in route.raised_by
        ],
        "rule": route.rule,
        "candidates": [{"model": candidate.model, "dropped": candidate.dropped} for candidate in route.candidates],
        "attempts": [_attempt_reply(attempt) for attempt in route.attempts],
        "cache": route.cache,
        "history": route.history,
    }
