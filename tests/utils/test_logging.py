"""Log lines hold fixed words, names and numbers."""

from __future__ import annotations

import io
import json
import logging

import pytest

from app.utils.logging import JSONFormatter, TerminalFormatter


def line(message: str, formatter: logging.Formatter, **extra: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": message, **extra})
    handler.handle(record)
    return stream.getvalue()


@pytest.mark.parametrize("formatter", [JSONFormatter(), TerminalFormatter()])
def test_a_traceback_that_came_as_text_is_cut_to_the_type_of_its_error(formatter: logging.Formatter) -> None:
    text = "Traceback (most recent call last):\n  File x\nsome.library.OddError: it quotes the prompt\n"
    assert "prompt" not in line(text, formatter)
    assert "OddError" in line(text, formatter)


def test_why_the_service_does_not_start_is_said_in_its_own_words() -> None:
    text = "Traceback (most recent call last):\n  File x\napp.errors.ConfigurationError: DATA_DIR is in use.\n"
    assert json.loads(line(text, JSONFormatter()))["message"] == "Sluice does not start: DATA_DIR is in use."


def test_what_is_passed_along_becomes_fields() -> None:
    assert json.loads(line("request", JSONFormatter(), model="openai/x"))["model"] == "openai/x"
    assert "model=openai/x" in line("request", TerminalFormatter(), model="openai/x")
