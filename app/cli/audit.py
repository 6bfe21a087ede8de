"""`python -m app audit`: the audit records, oldest first, one JSON object a line."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from app.config import Settings
from app.errors import ConfigurationError, NoClearedModelError, NotClearedError
from app.models import Label
from app.stores.audit_files import AUDIT_FOLDER, read_audit

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DENIALS = frozenset({NoClearedModelError.code, NotClearedError.code})
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_AGE = re.compile(r"(\d{1,6})([mhd])")


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    audit = commands.add_parser("audit", help="read the audit records", description="Print the audit records.")
    audit.add_argument("--since", type=_moment, help="a time such as 2026-01-31T12:00, or an age such as 90m, 12h, 7d")
    audit.add_argument("--label", type=Label.parse, help="only this label and above: public, internal, confidential")
    audit.add_argument("--denied", action="store_true", help="only requests that no cleared model could answer")
    audit.set_defaults(command=print_audit)


def print_audit(options: argparse.Namespace) -> int:
    """Print the records that the options leave."""
    folder = Settings().data_dir / AUDIT_FOLDER
    if not folder.is_dir():
        raise ConfigurationError(f"there are no audit records under {folder}; DATA_DIR says where they are.")
    with suppress(BrokenPipeError):  # `| head` has seen enough
        for record in read_audit(folder):
            if _is_asked_for(record, options):
                sys.stdout.write(orjson.dumps(record).decode() + "\n")
    return 0


def _is_asked_for(record: dict[str, Any], options: argparse.Namespace) -> bool:
    if options.since is not None and datetime.fromisoformat(record["time"]) < options.since:
        return False
    if options.label is not None and _label_of(record) < options.label:
        return False
    return not options.denied or record["outcome"] in DENIALS


def _label_of(record: dict[str, Any]) -> Label:
    """Of a request that failed before its label was known, the highest: it may have had any."""
    try:
        return Label.parse(record["label"])
    except ValueError:
        return Label.CONFIDENTIAL


def _moment(text: str) -> datetime:
    """A point in time, in UTC unless it says otherwise; raises `ValueError` for what is none."""
    age = _AGE.fullmatch(text)
    if age is not None:
        return datetime.now(UTC) - int(age[1]) * UNITS[age[2]]
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
