"""Turns and sessions as rows: what is stored of a message, and the values that rows are read back as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.models import ImagePart, Message, Part, TextPart, ToolCall
from app.records import ROOT, SessionEntry, Turn


def turn_row(turn: Turn) -> dict[str, Any]:
    """The columns that every kept turn has."""
    return {
        "id": turn.id,
        "message": _write_message(turn.message),
        "label": turn.label,
        "model": turn.model,
        "complete": turn.complete,
        "created_at": turn.created_at,
    }


def path_columns(turn: Turn) -> dict[str, Any]:
    """What is stored of a session's turn beside: for walking paths, for counting, for comparing, for searching."""
    return {
        "role": turn.message.role,
        "tokens": turn.tokens,
        "digest": turn.digest,
        "folded": fold(turn.message.text),
    }


def read_turn(row: Any, *, parent_id: str = ROOT, siblings: Sequence[str] = ()) -> Turn:
    return Turn(
        id=row.id,
        message=_read_message(row.message),
        label=row.label,
        created_at=row.created_at,
        model=row.model,
        complete=row.complete,
        tokens=getattr(row, "tokens", 0),
        digest=getattr(row, "digest", ""),
        parent_id=parent_id,
        siblings=tuple(siblings),
    )


def read_entry(row: Any) -> SessionEntry:
    return SessionEntry(
        id=row.id,
        mark=row.mark,
        created_at=row.created_at,
        updated_at=row.updated_at,
        user_id=row.user_id,
        title=row.title,
        model_id=row.model_id,
    )


def fold(text: str) -> str:
    """The text as it is searched: whatever its case. PostgreSQL's texts hold no NUL."""
    return text.casefold().replace("\x00", "")


def _write_message(message: Message) -> dict[str, Any]:
    return {
        "role": message.role,
        "parts": [_write_part(part) for part in message.parts],
        "name": message.name,
        "tool_calls": [[call.id, call.name, call.arguments] for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
    }


def _write_part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"text": part.text}
        case ImagePart():
            return {"image": part.url, "detail": part.detail}


def _read_message(stored: Mapping[str, Any]) -> Message:
    return Message(
        role=stored["role"],
        parts=tuple(_read_part(part) for part in stored["parts"]),
        name=stored["name"],
        tool_calls=tuple(ToolCall(*call) for call in stored["tool_calls"]),
        tool_call_id=stored["tool_call_id"],
    )


def _read_part(stored: Mapping[str, Any]) -> Part:
    return TextPart(stored["text"]) if "text" in stored else ImagePart(stored["image"], stored["detail"])
