"""Metadata filters tested in memory: DynamoDB has no index that could."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, Final

from app.models import JSONValue
from app.stores.filter_grammar import LONGEST_FIELD, Compared, FilterTree, Join, Not, OneOf, TypedValue, typed
from app.stores.uploads import scalars

Facts = Mapping[str, list[TypedValue]]
_ORDERS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def take_apart(metadata: Mapping[str, JSONValue]) -> Facts:
    """The values that each field has."""
    facts: dict[str, list[TypedValue]] = {}
    for field, value in scalars(metadata):
        facts.setdefault(field[: LONGEST_FIELD + 1], []).append(typed(value))
    return facts


def satisfies(facts: Facts, part: FilterTree) -> bool:
    match part:
        case Join("and", parts):
            return all(satisfies(facts, each) for each in parts)
        case Join(_, parts):
            return any(satisfies(facts, each) for each in parts)
        case Not(negated):
            return not satisfies(facts, negated)
        case Compared(field, order, value):
            same = (each for each in facts.get(field, ()) if each.kind == value.kind)
            return any(_ORDERS[order](each.value, value.value) for each in same)
        case OneOf(field, values, absent):
            return (absent and field not in facts) or any(each in values for each in facts.get(field, ()))
