"""Prices: what the tokens of each kind cost, and the version of a price that is kept beside the cost."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

from app.models import NO_DETAILS, Price, TokenDetails, Usage

PROMPT_KINDS = frozenset({"cached", "cache_write", "image", "audio"})
# Every call is booked under its price.
MOST_PRICES = 1024
KINDS = tuple(field.name for field in fields(TokenDetails))


def reckon(usage: Usage, *, price: Price) -> float:
    """US dollars for all tokens; those of a kind that has no price of its own cost what the rest does."""
    plain = usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion
    return plain if usage.details == NO_DETAILS else plain + _difference(usage.details, price=price)


def _difference(details: TokenDetails, *, price: Price) -> float:
    """What the tokens with a price of their own cost beyond the plain one; negative where they are cheaper."""
    difference = 0.0
    for kind in KINDS:
        own: float | None = getattr(price, kind)
        if own is not None:
            difference += getattr(details, kind) * (own - (price.prompt if kind in PROMPT_KINDS else price.completion))
    return difference


@lru_cache(maxsize=MOST_PRICES)
def describe_price(price: Price) -> str:
    """The whole price as a word: `PROMPT/COMPLETION`, then `,KIND=PRICE` for each kind that has one of its own."""
    own = [(kind, getattr(price, kind)) for kind in KINDS]
    kinds = (f",{kind}={dollars!r}" for kind, dollars in own if dollars is not None)
    return f"{price.prompt!r}/{price.completion!r}{''.join(kinds)}"
