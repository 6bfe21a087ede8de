"""Metadata filters, `{field: {operator: value}}` with `and` and `or` over lists of them: what is well-formed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from app.errors import InvalidRequestError
from app.models import JSONValue
from app.stores.uploads import Scalar, finite

# Longer names and values are cut here, so that an index entry stays within PostgreSQL's 2,704 bytes. Filters compare
# shorter ones only, and a cut value keeps its place among those.
LONGEST_FIELD: Final = 100
LONGEST_TEXT: Final = 500
MOST_CONDITIONS: Final = 100
MOST_VALUES: Final = 1_000
DEEPEST: Final = 8

Kind = Literal["flag", "text", "number"]
Order = Literal["gt", "gte", "lt", "lte"]


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value and what it compares with: texts with texts, numbers with numbers, true and false with themselves."""

    kind: Kind
    value: Scalar


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of the values; with `absent` one that is not there does too."""

    field: str
    values: tuple[TypedValue, ...]
    absent: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """The field has a value of this kind that stands so to this one."""

    field: str
    order: Order
    value: TypedValue


@dataclass(frozen=True, slots=True)
class Not:
    part: OneOf


@dataclass(frozen=True, slots=True)
class Join:
    """All of the parts, or any."""

    word: Literal["and", "or"]
    parts: tuple[FilterTree, ...]


FilterTree: TypeAlias = "OneOf | Compared | Not | Join"


def parse(filter: Mapping[str, JSONValue]) -> FilterTree:
    """What the filter states: all of its fields must satisfy all of their operators.

    A list satisfies what one of its members does; `ne` and `nin` are satisfied where `eq` and `in` are not, so also
    by a field that is absent; `null` is the value of an absent field. Texts are compared by code point. Raises
    `InvalidRequestError` if the filter is malformed.
    """
    return _Parser().all_of(filter, depth=0)


def typed(value: Scalar) -> TypedValue:
    """The value with its kind, cut where it is longer than what filters compare."""
    match value:
        case bool():
            return TypedValue("flag", value)
        case str():
            return TypedValue("text", value[: LONGEST_TEXT + 1])
        case _:
            return TypedValue("number", finite(value))


class _Parser:
    """Reads one filter, counting its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def all_of(self, filter: JSONValue, *, depth: int) -> FilterTree:
        if not isinstance(filter, Mapping) or not filter:
            raise _malformed("A filter is an object of {field: {operator: value}}.")
        return Join("and", tuple(self._entry(name, value, depth=depth) for name, value in filter.items()))

    def _entry(self, name: str, value: JSONValue, *, depth: int) -> FilterTree:
        if name in ("and", "or"):
            return self._join(name, value, depth=depth + 1)
        if not isinstance(value, Mapping) or not value:
            raise _malformed("A field of a filter takes an object of {operator: value}.")
        if not 0 < len(name) <= LONGEST_FIELD:
            raise _malformed(f"A field's name in a filter has 1 to {LONGEST_FIELD} characters.")
        return Join("and", tuple(self._test(name, operator, operand) for operator, operand in value.items()))

    def _join(self, name: str, value: JSONValue, *, depth: int) -> FilterTree:
        if depth > DEEPEST:
            raise _malformed(f"Filters may be nested {DEEPEST} deep.")
        if not isinstance(value, list | tuple) or not value:
            raise _malformed("`and` and `or` take a list of filters.")
        parts = tuple(self.all_of(part, depth=depth) for part in value)
        return Join("and" if name == "and" else "or", parts)

    def _test(self, field: str, operator: str, operand: JSONValue) -> FilterTree:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise _malformed(f"A filter has at most {MOST_CONDITIONS} conditions.")
        match operator:
            case "eq":
                return _one_of(field, [operand])
            case "ne":
                return Not(_one_of(field, [operand]))
            case "in":
                return _one_of(field, _several(operand))
            case "nin":
                return Not(_one_of(field, _several(operand)))
            case "gt" | "gte" | "lt" | "lte":
                return _compared(field, operator, operand)
            case _:
                raise _malformed("The operators of a filter are eq, ne, gt, gte, lt, lte, in and nin; and, or join.")


def _several(values: JSONValue) -> list[JSONValue]:
    if not isinstance(values, list | tuple) or len(values) > MOST_VALUES:
        raise _malformed(f"`in` and `nin` take a list of at most {MOST_VALUES} values.")
    return list(values)


def _one_of(field: str, values: list[JSONValue]) -> OneOf:
    return OneOf(field, tuple(_scalar(value) for value in values if value is not None), absent=None in values)


def _compared(field: str, order: Order, operand: JSONValue) -> Compared:
    value = _scalar(operand)
    if value.kind == "flag":
        raise _malformed("gt, gte, lt and lte compare numbers or texts.")
    return Compared(field, order, value)


def _scalar(value: JSONValue) -> TypedValue:
    if not isinstance(value, str | bool | int | float):
        raise _malformed("A filter compares with a text, a number, true or false.")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise _malformed(f"A text in a filter has at most {LONGEST_TEXT} characters.")
    return typed(value)


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, param="filter")
