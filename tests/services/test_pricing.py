"""Prices: tokens of a kind cost what their kind does, and a price is told apart from every other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.models import Price, TokenDetails, Usage
from app.services.pricing import KINDS, PROMPT_KINDS, describe_price, reckon

PLAIN = Price(prompt=2.0, completion=3.0)
USAGE = Usage(prompt_tokens=100, completion_tokens=10)


def test_tokens_without_kinds_cost_the_plain_price() -> None:
    assert reckon(USAGE, price=replace(PLAIN, cached=0.5, reasoning=9.0)) == 100 * 2.0 + 10 * 3.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_costs_its_own_price_and_without_one_what_the_rest_does(kind: str) -> None:
    """Four of the tokens are of the kind."""
    usage = replace(USAGE, details=TokenDetails(**{kind: 4}))
    plain = 2.0 if kind in PROMPT_KINDS else 3.0
    assert reckon(usage, price=PLAIN) == 230.0
    assert reckon(usage, price=replace(PLAIN, **{kind: 0.5})) == 230.0 - 4 * plain + 4 * 0.5


def test_prices_that_differ_in_anything_are_described_differently() -> None:
    """A price of nothing is not the absence of one."""
    prices = [PLAIN, *(replace(PLAIN, **{kind: dollars}) for kind in KINDS for dollars in (0.0, 0.5))]
    assert len({describe_price(price) for price in prices}) == len(prices)
    assert describe_price(replace(PLAIN, cached=1e-7)) == "2.0/3.0,cached=1e-07"
