"""Metadata filters as SQL conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select

from app.models import JSONValue
from app.stores.filter_grammar import Compared, FilterTree, Join, Not, OneOf, parse
from app.stores.sql.tables import attributes, versions

_Condition = ColumnElement[bool]
_JOINS: Mapping[str, Callable[..., _Condition]] = {"and": and_, "or": or_}
_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def condition(filter: Mapping[str, JSONValue]) -> _Condition:
    """The condition on `versions` that the filter states; raises `InvalidRequestError` if it is malformed."""
    return _compile(parse(filter))


def _compile(part: FilterTree) -> _Condition:
    match part:
        case Join(word, parts):
            return _JOINS[word](*map(_compile, parts))
        case Not(negated):
            return ~_compile(negated)
        case Compared(field, order, value):
            return _having(field, _ORDERS[order](attributes.c[value.kind], value.value))
        case OneOf():
            return _is_one_of(part)


def _is_one_of(test: OneOf) -> _Condition:
    by_kind: dict[str, list[Any]] = {}
    for value in test.values:
        by_kind.setdefault(value.kind, []).append(value.value)
    tests = [_having(test.field, attributes.c[kind].in_(values)) for kind, values in by_kind.items()]
    if test.absent:
        tests.append(~_having(test.field))
    return or_(false(), *tests)


def _having(field: str, *tests: _Condition) -> _Condition:
    return versions.c.id.in_(select(attributes.c.version).where(attributes.c.field == field, *tests))
