import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.speed.cases import CASES, Case
from benchmarks.speed.gateways import Gateway, Surroundings, litellm, portkey, running_upstream, sluice
from benchmarks.speed.processes import read_tree
from benchmarks.speed.streams import Stream, read_stream
from benchmarks.speed.upstream import stream_frames, whole_answer

GATEWAYS = (sluice, litellm, portkey)


def test_the_upstream_answers_as_long_as_it_says() -> None:
    """The length in the head is that of the body, which is JSON."""
    head, body = whole_answer(10).split(b"\r\n\r\n", 1)
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["choices"][0]["finish_reason"] == "stop"


def test_the_upstream_streams_what_was_asked_for() -> None:
    """As many pieces of content as asked for, then the finish, the usage and the end."""
    frames = [frame.split(b"\r\n")[1] for frame in stream_frames(3)]
    events = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
    assert [event["choices"][0]["delta"].get("content") for event in events[:4]] == ["word0 ", "word1 ", "word2 ", None]
    assert events[-1]["usage"]["total_tokens"] == 23
    assert frames[-1].startswith(b"data: [DONE]")


async def test_a_stream_is_read_to_its_end() -> None:
    """The reader of slow streams notes each piece and says that the stream is whole."""
    async with asyncio.timeout(20), running_upstream(chunks=5, chunks_per_second=50) as port:
        stream = await read_stream(port, headers={}, model="small-model", number=1)
    assert stream.whole
    assert 5 <= len(stream.times) <= 8


def test_the_largest_gap_is_between_neighbours() -> None:
    assert Stream([1.0, 1.1, 1.5, 1.6], whole=True).largest_gap == pytest.approx(0.4)


def test_cpu_of_a_process_grows_with_its_work() -> None:
    """What /proc says of this very process goes up when it works."""
    before = read_tree(os.getpid())
    while (after := read_tree(os.getpid())).cpu == before.cpu:
        pass
    assert after.cpu > before.cpu
    assert after.memory > 0


@pytest.mark.parametrize("make", GATEWAYS)
def test_a_gateway_is_pointed_at_the_upstream(make: Callable[[Surroundings], Gateway], tmp_path: Path) -> None:
    """Each gateway learns the upstream's port, by its settings, its file or the headers of its requests."""
    gateway = make(Surroundings(upstream=54_321, directory=tmp_path))
    files = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "54321" in f"{gateway.environment} {gateway.headers} {files}"


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_case_asks_in_json_that_lua_can_hold(case: Case) -> None:
    """A request is JSON and holds nothing that would end the text of the load's script."""
    body = case.request(model="auto")
    assert json.loads(body)
    assert "]==]" not in body
