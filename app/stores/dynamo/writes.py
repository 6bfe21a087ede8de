"""What a write does and on which condition, and its form in DynamoDB's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.stores.dynamo.codec import Item, write_item, write_value


@dataclass(frozen=True, slots=True)
class Key:
    """What names an item: its partition and its place in the order of that."""

    pk: str
    sk: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Key:
        return cls(item["pk"], item["sk"])

    def write(self) -> dict[str, Any]:
        return write_item({"pk": self.pk, "sk": self.sk})


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such item yet."""


@dataclass(frozen=True, slots=True)
class Present:
    """There is such an item."""


@dataclass(frozen=True, slots=True)
class Equal:
    """The item is there, and its attribute has this value."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class AbsentOrBelow:
    """There is no such item, or its attribute is below this value."""

    name: str
    value: Any


Condition = Absent | Present | Equal | AbsentOrBelow | None


@dataclass(frozen=True, slots=True)
class Put:
    """Store the item in the place of what is there."""

    item: Item
    when: Condition = None


@dataclass(frozen=True, slots=True)
class Add:
    """Add to the numbers of an item, which is made if it is not there, and set other attributes of it."""

    key: Key
    amounts: Mapping[str, int]
    values: Mapping[str, Any] = field(default_factory=dict)
    when: Condition = None


@dataclass(frozen=True, slots=True)
class Delete:
    key: Key
    when: Condition = None


@dataclass(frozen=True, slots=True)
class Check:
    """Change nothing, and have nothing changed unless the condition holds."""

    key: Key
    when: Condition


Write = Put | Add | Delete | Check


def render(write: Write, *, table: str) -> tuple[str, dict[str, Any]]:
    """The name of the operation in a transaction, and its arguments; those of the operation by itself are the same."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    arguments: dict[str, Any] = {"TableName": table}
    target: dict[str, Any]
    match write:
        case Put(item=item):
            operation, target = "Put", {"Item": write_item(item)}
        case Add(key=key):
            expression = _update(write, names, values)
            operation, target = "Update", {"Key": key.write(), "UpdateExpression": expression}
        case Delete(key=key):
            operation, target = "Delete", {"Key": key.write()}
        case Check(key=key):
            operation, target = "ConditionCheck", {"Key": key.write()}
    if write.when is not None:
        arguments["ConditionExpression"] = _condition(write.when, names, values)
    if names:
        arguments["ExpressionAttributeNames"] = names
    if values:
        arguments["ExpressionAttributeValues"] = values
    return operation, arguments | target


def _condition(condition: Condition, names: dict[str, str], values: dict[str, Any]) -> str:
    match condition:
        case Absent():
            return "attribute_not_exists(pk)"
        case Present() | None:
            return "attribute_exists(pk)"
        case Equal(name, value):
            names["#if"], values[":if"] = name, write_value(value)
            return "#if = :if"
        case AbsentOrBelow(name, value):
            names["#if"], values[":if"] = name, write_value(value)
            return "attribute_not_exists(pk) OR #if < :if"


def _update(add: Add, names: dict[str, str], values: dict[str, Any]) -> str:
    clauses = []
    for word, sign, given in (("ADD", " ", add.amounts), ("SET", " = ", add.values)):
        terms: list[str] = []
        for name, value in given.items():
            mark = f"{word.lower()}{len(terms)}"
            names[f"#{mark}"], values[f":{mark}"] = name, write_value(value)
            terms.append(f"#{mark}{sign}:{mark}")
        if terms:
            clauses.append(f"{word} {', '.join(terms)}")
    return " ".join(clauses)
