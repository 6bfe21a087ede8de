"""docs/failures.md says what comes of every failure, and it is so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.failover.bench import MODELS, SPARE, SPARE_TEXT, Mode, Protocol
from tests.failover.cases import cases
from tests.failover.conftest import Outcomes
from tests.support.answer import USAGE
from tests.support.process import REPOSITORY

PAGE = REPOSITORY / "docs" / "failures.md"
CASES = cases()

# litellm's warnings at import and clean-up are its own. All cases are played in the set-up of the first test.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
]


def read_tables() -> Mapping[tuple[Protocol, str], list[str]]:
    """The rows of the page's tables by protocol and case."""
    return {key: cells for section in re.split(r"(?m)^## ", PAGE.read_text()) for key, cells in read_rows(section)}


def read_rows(section: str) -> Iterator[tuple[tuple[Protocol, str], list[str]]]:
    title, _, body = section.partition("\n")
    if title not in list(Protocol):
        return
    for line in body.splitlines()[3:]:
        if line.startswith("| "):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            yield (Protocol(title), name), cells


ROWS = [(protocol, name) for protocol in Protocol for name, case in CASES.items() if protocol in case.protocols]
of_every_row = pytest.mark.parametrize(("protocol", "name"), ROWS, ids=[f"{p.name}-{name}" for p, name in ROWS])


async def test_the_page_has_a_row_for_every_case_and_no_other() -> None:
    assert sorted(read_tables()) == sorted(ROWS)


@of_every_row
async def test_what_happens_is_what_the_page_says(protocol: Protocol, name: str, outcomes: Outcomes) -> None:
    assert [outcomes[protocol, name, mode].words for mode in Mode] == read_tables()[protocol, name]


@of_every_row
async def test_an_answer_is_complete_and_right_or_an_explicit_error(
    protocol: Protocol, name: str, outcomes: Outcomes
) -> None:
    """Text, model and finish reason belong together, and a cut answer never passes for a whole one."""
    case = CASES[name]
    for mode in Mode:
        got = outcomes[protocol, name, mode]
        if got.code is not None:
            assert got.status >= 400 or got.began
            assert case.text.startswith(got.text)
        elif got.spare_calls:
            assert (got.text, got.model, got.finish_reason) == (SPARE_TEXT, SPARE, "stop")
        else:
            assert (got.text, got.model) == (case.text, MODELS[protocol])


@of_every_row
async def test_once_content_was_sent_the_model_is_never_switched(
    protocol: Protocol, name: str, outcomes: Outcomes
) -> None:
    for mode in Mode:
        got = outcomes[protocol, name, mode]
        assert not (got.began and got.spare_calls)


@of_every_row
async def test_tokens_are_those_of_the_model_that_answered(protocol: Protocol, name: str, outcomes: Outcomes) -> None:
    """Whatever failed before it, an answer reports its own usage; what was not reported is marked as estimated."""
    for mode in Mode:
        got = outcomes[protocol, name, mode]
        if got.usage is not None:
            estimated = name == "No usage reported"
            assert got.usage["estimated"] is estimated
            assert estimated or got.usage["total_tokens"] == USAGE.total_tokens
            assert got.usage["total_tokens"] == got.usage["prompt_tokens"] + got.usage["completion_tokens"] > 0


@pytest.mark.parametrize("protocol", [Protocol.OPENAI, Protocol.OLLAMA])
async def test_a_time_out_is_not_tried_again_on_the_same_model(protocol: Protocol, outcomes: Outcomes) -> None:
    for name in ("No response", "Slow first token", "Stall in mid-stream"):
        assert {outcomes[protocol, name, mode].calls for mode in Mode} == {1}


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_short_wait_is_honoured_once_and_a_long_one_passed_on(protocol: Protocol, outcomes: Outcomes) -> None:
    for_good = outcomes[protocol, "429 for good, with a short Retry-After", Mode.ALONE_JSON]
    assert for_good.calls == 2
    too_long = outcomes[protocol, "429 with a Retry-After of 30 s", Mode.ALONE_STREAM]
    assert (too_long.calls, too_long.retry_after) == (1, "30")
