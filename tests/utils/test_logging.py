"""Log lines hold fixed words, names and numbers, each on one line that nothing in it can forge."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from app.utils.logging import JSONFormatter, TerminalFormatter, configure_logging, take_over_loggers
from app.utils.tracing import Tracer
from tests.support.process import REPOSITORY

CANARY = "brivolunder"


def line(message: str, formatter: logging.Formatter, **extra: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": message, **extra})
    handler.handle(record)
    return stream.getvalue()


@pytest.fixture(name="log")
def fixture_log() -> Iterator[io.StringIO]:
    """What is logged by anybody; the loggers are as they were afterwards."""
    root, own = logging.getLogger(), logging.getLogger("app")
    handlers, levels = root.handlers, (root.level, own.level)
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


def logged(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(each) for each in log.getvalue().splitlines()]


@pytest.mark.parametrize("formatter", [JSONFormatter(), TerminalFormatter()])
@pytest.mark.parametrize(
    "last", ["some.library.OddError: it quotes the prompt", "and the prompt goes on: here", "the prompt"]
)
def test_a_traceback_that_came_as_text_is_cut_to_the_type_of_its_error(formatter: logging.Formatter, last: str) -> None:
    text = f"Traceback (most recent call last):\n  File x\n{last}\n"
    assert "prompt" not in line(text, formatter)
    assert ("OddError" in line(text, formatter)) == ("OddError" in last)


def test_why_the_service_does_not_start_is_said_in_its_own_words() -> None:
    text = "Traceback (most recent call last):\n  File x\napp.errors.ConfigurationError: DATA_DIR is in use.\n"
    assert json.loads(line(text, JSONFormatter()))["message"] == "Sluice does not start: DATA_DIR is in use."


def test_what_is_passed_along_becomes_fields() -> None:
    assert json.loads(line("request", JSONFormatter(), model="openai/x"))["model"] == "openai/x"
    assert "model=openai/x" in line("request", TerminalFormatter(), model="openai/x")


def test_a_line_within_a_trace_names_it() -> None:
    with Tracer(lambda span: None).begin("answer") as span:
        assert span.context is not None
        told = json.loads(line("request", JSONFormatter()))
    assert told["trace_id"] == span.context.trace_id.hex()
    assert "trace_id" not in json.loads(line("request", JSONFormatter()))


# What cannot be forged

NASTY = 'a\nb\r\x1b[31m\x9b\x85\u2028\u202e\u200b\ud800\x00\x7f", "outcome": "ok'


@pytest.mark.parametrize("formatter", [JSONFormatter(), TerminalFormatter()])
@pytest.mark.parametrize("place", ["message", "value", "list", "key"])
def test_a_name_can_neither_end_a_line_nor_steer_a_terminal(formatter: logging.Formatter, place: str) -> None:
    values: dict[str, Any] = {"value": {"model": NASTY}, "list": {"models": [NASTY]}, "key": {"counts": {NASTY: 1}}}
    written = line(NASTY if place == "message" else "request", formatter, **values.get(place, {}))
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    assert written[:-1].isprintable()


def test_what_is_no_plain_value_is_shown_by_its_type_alone() -> None:
    class Secretive:
        def __str__(self) -> str:
            return CANARY

        __repr__ = __str__

    told = line("request", JSONFormatter(), body=CANARY.encode(), thing=Secretive(), nested=[{"x": Secretive()}])
    assert CANARY not in told
    assert json.loads(told)["thing"] == "Secretive"


def test_a_very_long_value_is_cut() -> None:
    assert len(line("request", JSONFormatter(), model="x" * 1_000_000)) < 3000


def test_a_record_that_cannot_be_written_is_told_without_what_it_held(log: io.StringIO) -> None:
    beyond_json = 2**70
    logging.getLogger("app.x").info("counted", extra={"items": beyond_json, "model": CANARY})
    assert log.getvalue() == "a log record of app.x could not be written\n"


# Libraries


def test_a_librarys_message_is_shown_as_it_stands_in_its_source(log: io.StringIO) -> None:
    library = logging.getLogger("somelibrary.core")
    library.warning("retrying %s in %d seconds", CANARY, 3)
    library.warning(f"failed with {CANARY}")
    library.error("sent: " + CANARY)
    library.error(ValueError(CANARY))
    library.error("failed", extra={"body": CANARY})
    told = logged(log)
    assert [each["message"] for each in told] == [
        "retrying %s in %d seconds",
        *["a library's message, whose text is not shown"] * 3,
        "failed",
    ]
    assert all(each["at"].partition(":")[0] == "utils/test_logging.py" for each in told)
    assert CANARY not in log.getvalue()


def test_a_message_whose_arguments_do_not_fit_is_shown_without_them() -> None:
    for name in ("somelibrary", "app"):
        record = logging.LogRecord(name, logging.ERROR, __file__, 1, "%d items", (CANARY,), None)
        assert CANARY not in JSONFormatter().format(record)


def test_libraries_are_silent_below_a_warning_whatever_they_set_themselves(log: io.StringIO) -> None:
    library = logging.getLogger("anotherlibrary")
    own = io.StringIO()
    library.addHandler(logging.StreamHandler(own))
    library.propagate = False
    library.setLevel("DEBUG")
    take_over_loggers()
    library.debug("quiet")
    library.warning("loud")
    assert [each["message"] for each in logged(log)] == ["loud"]
    assert own.getvalue() == ""


def test_a_warning_of_python_is_its_category_and_place(log: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"{CANARY}\n: {CANARY}", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (told,) = logged(log)
    assert told["message"].startswith("UserWarning at utils/test_logging.py:")
    assert CANARY not in log.getvalue()


async def test_what_asyncio_says_of_a_lost_task_is_the_errors_type_and_place(log: io.StringIO) -> None:
    async def fail() -> None:
        raise KeyError(CANARY)

    task = asyncio.create_task(fail(), name=CANARY)
    await asyncio.wait({task})
    del task
    gc.collect()
    (told,) = logged(log)
    assert (told["logger"], told["error_type"]) == ("asyncio", "KeyError")
    assert told["error_at"][-1].startswith("utils/test_logging.py:")
    assert CANARY not in log.getvalue()


PROGRAM = """
    import sys, threading
    from app.utils.logging import configure_logging, log_uncaught

    configure_logging("INFO")
    log_uncaught()

    class Odd:
        def __del__(self):
            raise LookupError("brivolunder")

    def fail():
        raise KeyError("brivolunder")

    thread = threading.Thread(target=fail, name="brivolunder")
    thread.start()
    thread.join()
    Odd()
    raise ValueError("brivolunder")
"""


def test_errors_that_nobody_catches_are_lines_without_their_text() -> None:
    """In the main thread, in another one, and where Python cannot raise them."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    told = [json.loads(each) for each in run.stderr.splitlines()]
    assert [each["error_type"] for each in told] == ["KeyError", "LookupError", "ValueError"]
    assert {each["message"] for each in told} == {"uncaught error"}
    assert run.returncode == 1
    assert CANARY not in run.stderr + run.stdout
