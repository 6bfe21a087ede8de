"""Metadata filters, `{field: {operator: value}}` with `and` and `or` over lists of them, as SQL conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select

from app.errors import InvalidRequestError
from app.models import JSONValue
from app.stores.sql.rows import LONGEST_FIELD, LONGEST_TEXT, typed
from app.stores.sql.tables import attributes, versions

MOST_CONDITIONS = 100
MOST_VALUES = 1_000
DEEPEST = 8

_Condition = ColumnElement[bool]
_JOINS: Mapping[str, Callable[..., _Condition]] = {"and": and_, "or": or_}
_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def condition(filter: Mapping[str, JSONValue]) -> _Condition:
    """The condition on `versions` that the filter states: all of its fields must satisfy all of their operators.

    A list satisfies what one of its members does; `ne` and `nin` are satisfied where `eq` and `in` are not, so also
    by a field that is absent; `null` is the value of an absent field. Texts are compared by code point. Raises
    `InvalidRequestError` if the filter is malformed.
    """
    return _Compiler().all_of(filter, depth=0)


class _Compiler:
    """Compiles one filter, counting its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def all_of(self, filter: JSONValue, *, depth: int) -> _Condition:
        if not isinstance(filter, Mapping) or not filter:
            raise _malformed("A filter is an object of {field: {operator: value}}.")
        return and_(*(self._entry(name, value, depth=depth) for name, value in filter.items()))

    def _entry(self, name: str, value: JSONValue, *, depth: int) -> _Condition:
        if name in _JOINS:
            return self._join(name, value, depth=depth + 1)
        if not isinstance(value, Mapping) or not value:
            raise _malformed("A field of a filter takes an object of {operator: value}.")
        if not 0 < len(name) <= LONGEST_FIELD:
            raise _malformed(f"A field's name in a filter has 1 to {LONGEST_FIELD} characters.")
        return and_(*(self._test(name, operator, operand) for operator, operand in value.items()))

    def _join(self, name: str, value: JSONValue, *, depth: int) -> _Condition:
        if depth > DEEPEST:
            raise _malformed(f"Filters may be nested {DEEPEST} deep.")
        if not isinstance(value, list | tuple) or not value:
            raise _malformed("`and` and `or` take a list of filters.")
        return _JOINS[name](*(self.all_of(part, depth=depth) for part in value))

    def _test(self, field: str, operator: str, operand: JSONValue) -> _Condition:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise _malformed(f"A filter has at most {MOST_CONDITIONS} conditions.")
        match operator:
            case "eq":
                return _equals(field, operand)
            case "ne":
                return ~_equals(field, operand)
            case "in":
                return _is_one_of(field, operand)
            case "nin":
                return ~_is_one_of(field, operand)
            case "gt" | "gte" | "lt" | "lte":
                return _compares(field, operator, operand)
            case _:
                raise _malformed("The operators of a filter are eq, ne, gt, gte, lt, lte, in and nin; and, or join.")


def _equals(field: str, value: JSONValue) -> _Condition:
    if value is None:
        return ~_having(field)
    column, scalar = _scalar(value)
    return _having(field, attributes.c[column] == scalar)


def _is_one_of(field: str, values: JSONValue) -> _Condition:
    if not isinstance(values, list | tuple) or len(values) > MOST_VALUES:
        raise _malformed(f"`in` and `nin` take a list of at most {MOST_VALUES} values.")
    by_column: dict[str, list[Any]] = {}
    for value in values:
        if value is not None:
            column, scalar = _scalar(value)
            by_column.setdefault(column, []).append(scalar)
    tests = [_having(field, attributes.c[column].in_(scalars)) for column, scalars in by_column.items()]
    if None in values:
        tests.append(~_having(field))
    return or_(false(), *tests)


def _compares(field: str, operator: str, value: JSONValue) -> _Condition:
    column, scalar = _scalar(value)
    if column == "flag":
        raise _malformed("gt, gte, lt and lte compare numbers or texts.")
    return _having(field, _ORDERS[operator](attributes.c[column], scalar))


def _scalar(value: JSONValue) -> tuple[str, Any]:
    if not isinstance(value, str | bool | int | float):
        raise _malformed("A filter compares with a text, a number, true or false.")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise _malformed(f"A text in a filter has at most {LONGEST_TEXT} characters.")
    return next((column, scalar) for column, scalar in typed(value).items() if scalar is not None)


def _having(field: str, *tests: _Condition) -> _Condition:
    return versions.c.id.in_(select(attributes.c.version).where(attributes.c.field == field, *tests))


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, param="filter")
