"""A message as the JSON that every engine stores of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.models import ImagePart, Message, Part, TextPart, ToolCall


def write_message(message: Message) -> dict[str, Any]:
    return {
        "role": message.role,
        "parts": [_write_part(part) for part in message.parts],
        "name": message.name,
        "tool_calls": [[call.id, call.name, call.arguments] for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
    }


def read_message(stored: Mapping[str, Any]) -> Message:
    return Message(
        role=stored["role"],
        parts=tuple(_read_part(part) for part in stored["parts"]),
        name=stored["name"],
        tool_calls=tuple(ToolCall(*call) for call in stored["tool_calls"]),
        tool_call_id=stored["tool_call_id"],
    )


def _write_part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"text": part.text}
        case ImagePart():
            return {"image": part.url, "detail": part.detail}


def _read_part(stored: Mapping[str, Any]) -> Part:
    return TextPart(stored["text"]) if "text" in stored else ImagePart(stored["image"], stored["detail"])
