"""Kinds of fields that OpenAI's bodies are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Marks a field that OpenAI documents and that is refused by name; it reads as `None`.

    Empty values and those `allowed` (OpenAI's defaults) ask for nothing and pass. `reason` follows the field's name.
    """

    reason: str
    allowed: tuple[object, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._refuse, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "description": f"Refused: {self.reason}."}

    def _refuse(self, value: object) -> None:
        if value and value not in self.allowed:
            raise ValueError(self.reason)


def by(key: str) -> Discriminator:
    """Tells the members of a union apart by the word in one of their fields; their tags are that word as `<word>`.

    Tags in angle brackets are no field names, so the path in an error is made of field names alone.
    """

    def tag(value: Any) -> str:
        return f"<{value.get(key)}>" if isinstance(value, dict) else f"<{getattr(value, key, None)}>"

    return Discriminator(
        tag, custom_error_type="unknown_kind", custom_error_message=f"its {key} is not one that is supported; see /docs"
    )


def _shape(value: Any) -> str:
    return "<text>" if isinstance(value, str) else "<parts>"


# A text, or a list of its parts.
BY_SHAPE = Discriminator(_shape)
