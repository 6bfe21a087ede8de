"""Turns and sessions as rows: what is stored of a message, and the values that rows are read back as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.records import ROOT, SessionEntry, Turn
from app.stores.messages import read_message, write_message


def turn_row(turn: Turn) -> dict[str, Any]:
    """The columns that every kept turn has."""
    return {
        "id": turn.id,
        "message": write_message(turn.message),
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
        message=read_message(row.message),
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
