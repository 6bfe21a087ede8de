"""What `GET /models` of an OpenAI-compatible server tells of its models."""

from __future__ import annotations

import math

from app.models import JSONValue, Label, Locality, Model, Price
from app.providers.wire import JSONObject, count_at, object_at, objects_at, text_at


def read_models(listing: JSONObject, *, provider: str, locality: Locality, clearance: Label) -> tuple[Model, ...]:
    """The models listed. OpenAI gives ids only; OpenRouter and vLLM add what they know."""
    return tuple(
        _read_model(entry, provider=provider, locality=locality, clearance=clearance)
        for entry in objects_at(listing, "data")
        if text_at(entry, "id")
    )


def _read_model(entry: JSONObject, *, provider: str, locality: Locality, clearance: Label) -> Model:
    modalities = object_at(entry, "architecture").get("input_modalities")
    parameters = entry.get("supported_parameters")
    return Model(
        provider=provider,
        name=text_at(entry, "id"),
        locality=locality,
        clearance=clearance,
        context_length=count_at(entry, "context_length") or count_at(entry, "max_model_len"),
        vision=isinstance(modalities, list) and "image" in modalities,
        tools=not isinstance(parameters, list) or "tools" in parameters,
        price=_price(object_at(entry, "pricing")),
        title=text_at(entry, "name") or None,
        description=text_at(entry, "description"),
    )


def _price(pricing: JSONObject) -> Price | None:
    """OpenRouter's prices: dollars for one token, as text; negative where they vary."""
    prompt, completion = _dollars(pricing.get("prompt")), _dollars(pricing.get("completion"))
    if prompt is None or completion is None:
        return None
    return Price(
        prompt=prompt,
        completion=completion,
        # Of these a zero stands where the model has no such tokens, or asks nothing else for them.
        cached=_dollars(pricing.get("input_cache_read")) or None,
        cache_write=_dollars(pricing.get("input_cache_write")) or None,
        audio=_dollars(pricing.get("audio")) or None,
        reasoning=_dollars(pricing.get("internal_reasoning")) or None,
    )


def _dollars(value: JSONValue) -> float | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        dollars = float(value)
    except ValueError:
        return None
    return dollars if math.isfinite(dollars) and dollars >= 0 else None
