"""Every fault, over a socket, in every protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.support.answer import Dialect
from tests.support.behaviours import (
    Answer,
    Behaviour,
    Chopped,
    CloseWithoutLastChunk,
    Comments,
    CutMidStream,
    HalfJson,
    HtmlWith200,
    MalformedChunk,
    NoDone,
    NoFinish,
    Redirect,
    ResetConnection,
    Status,
)
from tests.support.dialects import AnthropicDialect, OllamaDialect, OpenAIDialect
from tests.support.upstream import ScriptedUpstream

ANSWER = Answer(pieces=["alpha ", "bétá ", "gamma ", "delta"])
DIALECTS: dict[str, tuple[Dialect, str, str]] = {
    "openai": (OpenAIDialect(), "/v1/chat/completions", "gpt-4o"),
    "ollama": (OllamaDialect(), "/api/chat", "llama3"),
    "anthropic": (AnthropicDialect(), "/v1/messages", "claude-sonnet-4-5"),
}
MODES = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


@dataclass(frozen=True, slots=True)
class Response:
    """What a client got: `broken` names the error that ended the transfer, if one did."""

    status: int
    headers: dict[str, str]
    body: bytes
    broken: str | None


@dataclass(frozen=True, slots=True)
class Probe:
    upstream: ScriptedUpstream
    client: aiohttp.ClientSession
    name: str

    async def ask(self, behaviour: Behaviour, *, stream: bool) -> Response:
        self.upstream.script = behaviour
        _, path, model = DIALECTS[self.name]
        body: dict[str, Any] = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        async with self.client.post(path, json={**body, "stream": stream}, allow_redirects=False) as response:
            received, broken = b"", None
            try:
                async for data in response.content.iter_any():
                    received += data
            except (aiohttp.ClientError, ConnectionError) as error:
                broken = type(error).__name__
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status, headers, received, broken)


@pytest.fixture(params=DIALECTS)
async def probe(request: pytest.FixtureRequest) -> AsyncIterator[Probe]:
    async with (
        ScriptedUpstream(DIALECTS[request.param][0]) as upstream,
        aiohttp.ClientSession(base_url=upstream.origin) as client,
    ):
        yield Probe(upstream, client, request.param)


@MODES
async def test_answer_is_whole(probe: Probe, *, stream: bool) -> None:
    response = await probe.ask(ANSWER, stream=stream)
    assert (response.status, response.broken) == (200, None)
    text = response.body.decode()
    assert all(piece.strip() in text for piece in ANSWER.parts)


@MODES
async def test_status_carries_the_time_to_wait_and_the_words_it_was_given(probe: Probe, *, stream: bool) -> None:
    response = await probe.ask(Status(429, retry_after=3, message="not now"), stream=stream)
    assert (response.status, response.headers["retry-after"]) == (429, "3")
    assert "not now" in json.dumps(json.loads(response.body))


@MODES
async def test_reset_comes_before_any_byte(probe: Probe, *, stream: bool) -> None:
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await probe.ask(ResetConnection(), stream=stream)


async def test_cut_stream_ends_with_a_reset_after_exactly_what_was_asked_for(probe: Probe) -> None:
    response = await probe.ask(CutMidStream(after=2, of=ANSWER), stream=True)
    assert response.status == 200
    assert response.broken is not None
    assert "bétá".encode() in response.body
    assert b"gamma" not in response.body


async def test_cut_never_lets_a_short_answer_through_to_its_end(probe: Probe) -> None:
    whole = await probe.ask(Answer(pieces=["alpha"]), stream=True)
    cut = await probe.ask(CutMidStream(after=9, of=Answer(pieces=["alpha"])), stream=True)
    assert cut.broken is not None
    assert b"alpha" in cut.body
    assert len(cut.body) < len(whole.body)


async def test_cut_json_is_half_a_body(probe: Probe) -> None:
    response = await probe.ask(CutMidStream(of=ANSWER), stream=False)
    assert response.broken is not None
    with pytest.raises(ValueError):
        json.loads(response.body)


async def test_close_without_the_last_chunk_follows_a_stream_that_is_whole(probe: Probe) -> None:
    whole = await probe.ask(ANSWER, stream=True)
    response = await probe.ask(CloseWithoutLastChunk(of=ANSWER), stream=True)
    assert response.broken == "ClientPayloadError"
    assert response.body == whole.body.replace(b"-1", b"-2").replace(b"_1", b"_2")


async def test_json_that_closes_early_is_shorter_than_its_length(probe: Probe) -> None:
    response = await probe.ask(CloseWithoutLastChunk(of=ANSWER), stream=False)
    assert response.broken == "ClientPayloadError"
    assert len(response.body) < int(response.headers["content-length"])


@MODES
async def test_page_of_html_comes_with_200(probe: Probe, *, stream: bool) -> None:
    response = await probe.ask(HtmlWith200(), stream=stream)
    assert (response.status, response.broken) == (200, None)
    assert response.headers["content-type"].startswith("text/html")
    assert response.body.startswith(b"<!doctype html>")


@MODES
async def test_half_json_is_whole_by_its_framing_and_cannot_be_parsed(probe: Probe, *, stream: bool) -> None:
    response = await probe.ask(HalfJson(ANSWER), stream=stream)
    assert (response.status, response.broken) == (200, None)
    with pytest.raises(ValueError):
        json.loads(response.body)


async def test_malformed_chunk_stands_between_good_ones(probe: Probe) -> None:
    broken = probe.upstream.dialect.broken_frame()
    response = await probe.ask(MalformedChunk(after=1, of=ANSWER), stream=True)
    before, _, behind = response.body.partition(broken)
    assert response.broken is None
    assert b"alpha" in before
    assert b"alpha" not in behind
    assert "bétá".encode() in behind


@pytest.mark.parametrize("fault", [NoDone, NoFinish])
async def test_stream_that_lacks_its_end_is_well_framed_and_has_all_the_text(
    probe: Probe, fault: type[NoDone | NoFinish]
) -> None:
    whole = await probe.ask(ANSWER, stream=True)
    response = await probe.ask(fault(ANSWER), stream=True)
    assert response.broken is None
    assert b"delta" in response.body
    assert len(response.body) < len(whole.body)


async def test_stream_in_single_bytes_is_the_same_stream(probe: Probe) -> None:
    whole = await probe.ask(ANSWER, stream=True)
    chopped = await probe.ask(Chopped(size=1, of=ANSWER), stream=True)
    assert chopped.body == whole.body.replace(b"-1", b"-2").replace(b"_1", b"_2")


async def test_comments_stand_before_each_event_of_an_event_stream() -> None:
    async with (
        ScriptedUpstream(OpenAIDialect()) as upstream,
        aiohttp.ClientSession(base_url=upstream.origin) as client,
    ):
        response = await Probe(upstream, client, "openai").ask(Comments(of=ANSWER), stream=True)
    events = response.body.split(b"\r\n\r\n")
    assert events[0::2][:-1] == [b": PROCESSING"] * 7
    assert all(event.startswith(b"data: ") for event in events[1::2])


@MODES
async def test_redirect_points_where_it_was_told_to(probe: Probe, *, stream: bool) -> None:
    response = await probe.ask(Redirect("http://127.0.0.1:9/elsewhere"), stream=stream)
    assert (response.status, response.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")
