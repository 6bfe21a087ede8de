from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.egress import LONGEST_LINE, Egress
from app.errors import (
    ContentFilterError,
    ContextLengthError,
    NotClearedError,
    UpstreamAuthenticationError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamModelNotFoundError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from app.models import (
    Delta,
    ImagePart,
    JSONValue,
    Label,
    Locality,
    Message,
    Model,
    Opening,
    Price,
    Prompt,
    Sampling,
    Stop,
    TextPart,
    TokenDetails,
    ToolCall,
    Tooling,
    Usage,
)
from app.providers.failures import retry_after_seconds
from app.providers.openai_compatible import Dialect, OpenAICompatible
from app.providers.openai_compatible.answer import ChatAnswer, read_usage
from app.providers.openai_compatible.events import EventBuffer
from app.providers.openai_compatible.listing import read_models
from app.providers.openai_compatible.request import chat_body
from app.providers.wire import decode
from tests.providers.calls import (
    calls_of,
    collect,
    collect_until_failure,
    dispatch_to,
    open_egress,
    stops_of,
    text_of,
    usages_of,
)
from tests.support.answer import Answer, Behaviour
from tests.support.answer import Dialect as Protocol
from tests.support.batches import one_by_one
from tests.support.behaviours import (
    Chopped,
    CloseWithoutLastChunk,
    Comments,
    ContentFilter,
    ContextTooLong,
    CutMidStream,
    EmptyChoices,
    ErrorMidStream,
    HalfJson,
    HtmlWith200,
    MalformedChunk,
    NoDone,
    NoFinish,
    Redirect,
    ResetConnection,
    SlowFirstToken,
    StallMidStream,
    Status,
    ToolCalls,
)
from tests.support.dialects.openai import OpenAIDialect
from tests.support.http import RecordedRequest
from tests.support.ports import free_port
from tests.support.steps import Steps, Wait
from tests.support.upstream import ScriptedUpstream

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CANARY = "quixotropic-vellichor"


@pytest.fixture
async def egress() -> AsyncGenerator[Egress, None]:
    async with open_egress() as egress:
        yield egress


@pytest.fixture
def upstream(openai_upstream: ScriptedUpstream) -> ScriptedUpstream:
    return openai_upstream


def provider_at(upstream: ScriptedUpstream, *, egress: Egress, api_key: str | None = None) -> OpenAICompatible:
    return OpenAICompatible(
        "openai",
        base_url=f"{upstream.origin}/v1",
        egress=egress,
        clearance=Label.INTERNAL,
        api_key=api_key,
        clock=lambda: NOW,
    )


def body_for(prompt: Prompt, *, model: str = "gpt-4o", openai: bool = False) -> dict[str, JSONValue]:
    return chat_body(prompt, model=model, dialect=Dialect(openai=openai))


# What is sent


def test_what_the_caller_left_out_is_not_sent() -> None:
    prompt = Prompt(messages=(Message.of("user", "Hello"),), stream=False)
    assert body_for(prompt) == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
    }


def test_every_sampling_and_tooling_field_is_sent_under_its_name() -> None:
    tool: JSONValue = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    prompt = Prompt(
        messages=(Message.of("user", "Hello"),),
        sampling=Sampling(
            temperature=0.0,
            top_p=0.5,
            max_tokens=7,
            stop=("END",),
            seed=3,
            n=2,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            logprobs=True,
            top_logprobs=4,
            reasoning_effort="low",
        ),
        tooling=Tooling(
            tools=(tool,), tool_choice="auto", parallel_tool_calls=False, response_format={"type": "json_object"}
        ),
    )
    body = body_for(prompt)
    assert {key: value for key, value in body.items() if key not in {"model", "messages"}} == {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": ("END",),
        "seed": 3,
        "n": 2,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 4,
        "reasoning_effort": "low",
        "tools": (tool,),
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
    }


@pytest.mark.parametrize(
    ("openai", "model", "field"),
    [
        (True, "gpt-4o", "max_completion_tokens"),
        (False, "llama3", "max_tokens"),
        (False, "o3-mini", "max_completion_tokens"),
        (False, "openai/gpt-5.1", "max_completion_tokens"),
        (False, "openai/gpt-oss-120b", "max_tokens"),
        (False, "gpt-4o", "max_tokens"),
        (False, "olmo2", "max_tokens"),
    ],
)
def test_the_token_limit_has_the_name_that_the_model_accepts(openai: bool, model: str, field: str) -> None:
    prompt = Prompt(messages=(), sampling=Sampling(max_tokens=5))
    body = body_for(prompt, model=model, openai=openai)
    assert {key for key in body if key.startswith("max")} == {field}


@pytest.mark.parametrize(
    ("base_url", "openai"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://openai.com.example.org/v1", False),
        ("https://notopenai.com/v1", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_storing_is_refused_on_openais_own_hosts_and_not_mentioned_elsewhere(base_url: str, openai: bool) -> None:
    body = chat_body(Prompt(messages=()), model="gpt-4o", dialect=Dialect.of(base_url))
    assert body.get("store", "absent") == (False if openai else "absent")


def test_a_conversation_with_tools_and_images_keeps_its_shape() -> None:
    messages = (
        Message.of("developer", "Be brief."),
        Message(role="user", parts=(TextPart("What is this?"), ImagePart("data:image/png;base64,AA==", "low"))),
        Message(role="assistant", tool_calls=(ToolCall("call_1", "look", '{"x": 1}'),)),
        Message(role="tool", parts=(TextPart("a cat"),), tool_call_id="call_1"),
    )
    assert body_for(Prompt(messages=messages))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}],
        },
        {"role": "tool", "content": "a cat", "tool_call_id": "call_1"},
    ]


def test_openai_is_told_of_developers_as_such() -> None:
    body = body_for(Prompt(messages=(Message.of("developer", "Be brief."),)), openai=True)
    assert body["messages"] == [{"role": "developer", "content": "Be brief."}]


async def test_the_key_goes_in_the_authorization_header_and_only_there(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    key = secrets.token_hex(16)
    await collect(provider_at(upstream, egress=egress, api_key=key), dispatch_to("openai/gpt-4o"))
    assert upstream.requests[0].headers["authorization"] == f"Bearer {key}"
    assert upstream.received.count(key.encode()) == 1


async def test_without_a_key_no_authorization_is_sent(upstream: ScriptedUpstream, egress: Egress) -> None:
    await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))
    assert "authorization" not in upstream.requests[0].headers


async def test_text_that_utf8_cannot_hold_is_refused_before_anything_is_sent(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    dispatch = dispatch_to("openai/gpt-4o", messages=[Message.of("user", "half a surrogate: \ud800")])
    with pytest.raises(UpstreamRejectedError):
        await collect(provider_at(upstream, egress=egress), dispatch)
    assert upstream.received == b""


async def test_a_cloud_model_that_claims_too_high_a_clearance_is_sent_nothing(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    dispatch = dispatch_to("openai/gpt-4o", locality=Locality.LOCAL, label=Label.CONFIDENTIAL)
    cloud = Model(provider="openai", name="gpt-4o", locality=Locality.CLOUD, clearance=Label.CONFIDENTIAL)
    with pytest.raises(NotClearedError):
        await collect(provider_at(upstream, egress=egress), type(dispatch)(dispatch.payload, Label.CONFIDENTIAL, cloud))
    assert upstream.received == b""


# What comes back


@pytest.mark.parametrize("stream", [True, False])
async def test_a_complete_answer_is_its_text_one_stop_and_the_usage(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o", stream=stream))
    assert text_of(pieces) == "Water boils at 100 degrees."
    assert pieces[-2:] == [Stop(reason="stop"), Usage(prompt_tokens=11, completion_tokens=7)]
    assert upstream.requests[0].json["stream"] is stream


@pytest.mark.parametrize(
    "answer",
    [
        Chopped(of=Answer("Größe: 水は100℃で沸騰する 🫖")),
        Comments(of=Answer("Größe: 水は100℃で沸騰する 🫖")),
        Chopped(size=7, of=Comments(of=Answer("Größe: 水は100℃で沸騰する 🫖"))),
        NoDone(of=Answer("Größe: 水は100℃で沸騰する 🫖")),
        CloseWithoutLastChunk(of=Answer("Größe: 水は100℃で沸騰する 🫖")),
    ],
)
async def test_a_stream_is_read_however_it_is_cut_commented_or_closed(
    upstream: ScriptedUpstream, egress: Egress, answer: Behaviour
) -> None:
    upstream.script = answer
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))
    assert text_of(pieces) == "Größe: 水は100℃で沸騰する 🫖"
    assert stops_of(pieces) == [Stop(reason="stop")]


@pytest.mark.parametrize("stream", [True, False])
async def test_parallel_tool_calls_keep_their_positions_and_their_arguments_to_the_letter(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    upstream.script = ToolCalls([("look", '{"place":  "Oslo"}'), ("count", '{"to": 3}')])
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o", stream=stream))
    assert [(name, arguments) for _, name, arguments in calls_of(pieces)] == [
        ("look", '{"place":  "Oslo"}'),
        ("count", '{"to": 3}'),
    ]
    assert all(call_id for call_id, _, _ in calls_of(pieces))
    assert stops_of(pieces) == [Stop(reason="tool_calls")]


@pytest.mark.parametrize("stream", [True, False])
async def test_refusals_and_content_filters_pass_through_as_what_they_are(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    upstream.script = Answer("", refusal="I cannot help with that.", finish="content_filter")
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o", stream=stream))
    assert "".join(piece.refusal for piece in pieces if isinstance(piece, Delta)) == "I cannot help with that."
    assert stops_of(pieces) == [Stop(reason="content_filter")]


async def test_log_probabilities_pass_through(upstream: ScriptedUpstream, egress: Egress) -> None:
    dispatch = dispatch_to("openai/gpt-4o", sampling=Sampling(logprobs=True))
    pieces = await collect(provider_at(upstream, egress=egress), dispatch)
    first = next(piece for piece in pieces if isinstance(piece, Delta) and piece.content)
    assert isinstance(first.logprobs, dict)
    assert first.logprobs["content"] == [
        {"token": "Water ", "logprob": -0.25, "bytes": list(b"Water "), "top_logprobs": []}
    ]


@pytest.mark.parametrize("stream", [True, False])
async def test_several_choices_are_kept_apart_and_each_has_its_stop(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    dispatch = dispatch_to("openai/gpt-4o", stream=stream, sampling=Sampling(n=2))
    pieces = await collect(provider_at(upstream, egress=egress), dispatch)
    assert text_of(pieces, index=0) == text_of(pieces, index=1) == "Water boils at 100 degrees."
    assert stops_of(pieces) == [Stop(reason="stop"), Stop(reason="stop", index=1)]


async def test_fewer_choices_than_asked_for_are_a_broken_answer(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Answer(choices=1)
    with pytest.raises(UpstreamBrokenError):
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o", sampling=Sampling(n=2)))


async def test_thinking_shows_as_life_but_not_as_content(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Answer("Yes.", thinking="Hmm, let me see.")
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/o3"))
    assert pieces[:2] == [Opening(), Delta()]
    assert text_of(pieces) == "Yes."


async def test_an_answer_without_usage_yields_none(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Answer(usage=None)
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))
    assert usages_of(pieces) == []


async def test_a_whole_answer_where_a_stream_was_asked_for_is_taken(egress: Egress) -> None:
    class Unstreaming(OpenAIDialect):
        def streams(self, request: Any) -> bool:
            return False

    async with ScriptedUpstream(Unstreaming()) as upstream:
        pieces = await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))
    assert text_of(pieces) == "Water boils at 100 degrees."
    assert stops_of(pieces) == [Stop(reason="stop")]


# What goes wrong


BROKEN_IN_BOTH_MODES: list[Behaviour] = [
    NoFinish(),
    EmptyChoices(),
    HalfJson(),
    HtmlWith200(),
    MalformedChunk(),
    CloseWithoutLastChunk(of=NoDone()),
    CutMidStream(after=1),
    Answer(finish="something_new"),
    Redirect("http://127.0.0.1:9/elsewhere"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("behaviour", BROKEN_IN_BOTH_MODES, ids=lambda behaviour: type(behaviour).__name__)
async def test_an_answer_without_its_proper_end_is_an_error_and_never_a_short_success(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour, stream: bool
) -> None:
    upstream.script = behaviour
    with pytest.raises(UpstreamBrokenError):
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o", stream=stream))
    assert len(upstream.requests) == 1


async def test_content_before_a_cut_is_given_out_before_the_error(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = NoFinish(of=Answer("Only half"))
    provider = provider_at(upstream, egress=egress)
    pieces, error = await collect_until_failure(provider, dispatch_to("openai/gpt-4o"))
    assert isinstance(error, UpstreamBrokenError)
    assert text_of(pieces) == "Only half"
    assert stops_of(pieces) == []


STATUSES: list[tuple[Behaviour, type[UpstreamError]]] = [
    (Status(400), UpstreamRejectedError),
    (Status(401), UpstreamAuthenticationError),
    (Status(402), UpstreamQuotaError),
    (Status(403), UpstreamAuthenticationError),
    (Status(404), UpstreamModelNotFoundError),
    (Status(408), UpstreamTimeoutError),
    (Status(413), ContextLengthError),
    (Status(422), UpstreamRejectedError),
    (Status(429), UpstreamRateLimitedError),
    (Status(500), UpstreamError),
    (Status(502), UpstreamUnavailableError),
    (Status(503), UpstreamUnavailableError),
    (Status(504), UpstreamTimeoutError),
    (Status(529), UpstreamUnavailableError),
    (ContextTooLong(), ContextLengthError),
    (ContentFilter(), ContentFilterError),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("behaviour", "error"), STATUSES, ids=lambda case: str(getattr(case, "status", case)))
async def test_a_status_and_its_code_say_which_error_it_is(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour, error: type[UpstreamError], stream: bool
) -> None:
    upstream.script = behaviour
    with pytest.raises(UpstreamError) as caught:
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o", stream=stream))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "the request exceeds the available context size, try increasing it",
    ],
)
async def test_a_prompt_that_is_too_long_is_known_by_its_words_where_a_server_has_no_code_for_it(
    upstream: ScriptedUpstream, egress: Egress, message: str
) -> None:
    upstream.script = Status(400, message=message)
    with pytest.raises(ContextLengthError):
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("-3", 0.0),
        ("999999999", 86400.0),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
async def test_a_rate_limit_carries_the_wait_that_the_server_asks_for(
    upstream: ScriptedUpstream, egress: Egress, header: str, seconds: float | None
) -> None:
    upstream.script = Status(429, retry_after=header)
    with pytest.raises(UpstreamRateLimitedError) as caught:
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))
    assert caught.value.retry_after == seconds


def test_a_wait_that_was_not_stated_is_none() -> None:
    assert retry_after_seconds(None, now=NOW) is None


async def test_an_error_in_mid_stream_is_raised_after_what_came_before_it(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    upstream.script = ErrorMidStream(after=2, status=429)
    provider = provider_at(upstream, egress=egress)
    pieces, error = await collect_until_failure(provider, dispatch_to("openai/gpt-4o"))
    assert isinstance(error, UpstreamRateLimitedError)
    assert text_of(pieces) == "Water boils "


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"code": 429, "message": "x"}}, UpstreamRateLimitedError),
        ({"error": {"code": "insufficient_quota"}}, UpstreamQuotaError),
        ({"error": {"type": "overloaded_error"}}, UpstreamUnavailableError),
        ({"error": {"type": "invalid_request_error"}}, UpstreamRejectedError),
        ({"error": {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "x"}}}, ContentFilterError),
        ({"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}, ContentFilterError),
        ({"error": "boom"}, UpstreamError),
        ({"error": {"code": True}}, UpstreamError),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}, UpstreamError),
        ({"choices": [{"index": 1, "delta": {"content": "x"}}]}, UpstreamBrokenError),
    ],
)
def test_an_error_object_in_an_answer_says_which_error_it_is(
    event: dict[str, JSONValue], error: type[UpstreamError]
) -> None:
    with pytest.raises(UpstreamError) as caught:
        list(ChatAnswer(choices=1).read(event))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "behaviour",
    [
        Status(500, message=CANARY),
        Status(400, message=CANARY),
        ErrorMidStream(message=CANARY),
        HtmlWith200(text=CANARY),
        HalfJson(of=Answer(CANARY * 20)),
    ],
    ids=lambda behaviour: type(behaviour).__name__,
)
async def test_no_text_of_the_upstream_is_in_an_error_or_its_causes(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour
) -> None:
    upstream.script = behaviour
    with pytest.raises(UpstreamError) as caught:
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or CANARY not in repr(caught.value.__context__)


async def test_a_reset_before_the_answer_is_an_unavailable_server(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = ResetConnection()
    with pytest.raises(UpstreamUnavailableError):
        await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))


async def test_a_server_that_is_not_there_is_unavailable(egress: Egress) -> None:
    provider = OpenAICompatible(
        "openai", base_url=f"http://127.0.0.1:{free_port()}/v1", egress=egress, clearance=Label.INTERNAL
    )
    with pytest.raises(UpstreamUnavailableError):
        await collect(provider, dispatch_to("openai/gpt-4o"))
    assert (await provider.probe()).reachable is False


async def test_a_stall_ends_at_the_egress_time_limit(upstream: ScriptedUpstream) -> None:
    upstream.script = StallMidStream()
    async with open_egress(total_timeout=0.05) as egress:
        with pytest.raises(UpstreamTimeoutError):
            await collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o"))


async def test_closing_the_iterator_leaves_the_upstream_at_once(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = StallMidStream(after=1)
    pieces = one_by_one(provider_at(upstream, egress=egress).complete(dispatch_to("openai/gpt-4o")))
    assert [await anext(pieces), await anext(pieces)] == [Opening(), Delta(content="Water ")]
    await pieces.aclose()
    await upstream.wait_cancelled(within=0.1)


async def test_cancelling_the_wait_for_the_first_piece_leaves_the_upstream_at_once(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    upstream.script = SlowFirstToken(asyncio.Event(), head=False)
    task = asyncio.create_task(collect(provider_at(upstream, egress=egress), dispatch_to("openai/gpt-4o")))
    await upstream.wait_requests()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.wait_cancelled(within=0.1)


async def test_one_connection_serves_many_complete_answers(upstream: ScriptedUpstream, egress: Egress) -> None:
    provider = provider_at(upstream, egress=egress)
    for stream in (True, False, True, True):
        await collect(provider, dispatch_to("openai/gpt-4o", stream=stream))
    assert upstream.connections == 1


@dataclass(frozen=True)
class SlowEnd:
    """A whole answer whose last bytes, after everything that means something, wait for the gate."""

    gate: asyncio.Event

    def steps(self, request: RecordedRequest, *, dialect: Protocol) -> Steps:
        return (*Answer().steps(request, dialect=dialect), Wait(self.gate))


@pytest.mark.parametrize(("opens", "connections"), [(True, 1), (False, 2)])
async def test_the_connection_serves_again_if_the_body_ends_a_moment_after_its_content(
    upstream: ScriptedUpstream, egress: Egress, opens: bool, connections: int
) -> None:
    gate = asyncio.Event()
    upstream.script = [SlowEnd(gate), Answer()]
    provider = provider_at(upstream, egress=egress)
    async for piece in one_by_one(provider.complete(dispatch_to("openai/gpt-4o"))):
        if isinstance(piece, Usage) and opens:
            gate.set()
    await collect(provider, dispatch_to("openai/gpt-4o"))
    assert upstream.connections == connections


# Details of the format


EVENT_KEYS = [
    "architecture", "arguments", "choices", "code", "completion", "completion_tokens", "content",
    "context_length", "data", "delta", "error", "finish_reason", "function", "id", "index", "innererror",
    "logprobs", "message", "metadata", "pricing", "prompt", "prompt_tokens", "reasoning", "refusal", "text",
    "tool_calls", "total_tokens", "type", "usage",
]  # fmt: skip
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 600) | st.floats() | st.sampled_from(["", "stop", "error", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(EVENT_KEYS), inner, max_size=5),
    max_leaves=25,
)
ANY_EVENT = st.dictionaries(st.sampled_from(EVENT_KEYS), ANY_JSON, max_size=6)


@given(events=st.lists(ANY_EVENT, max_size=4))
def test_no_event_however_odd_raises_anything_but_an_upstream_error(events: list[dict[str, JSONValue]]) -> None:
    answer = ChatAnswer(choices=1)
    with contextlib.suppress(UpstreamError):
        for event in events:
            assert all(isinstance(piece, Delta | Opening) for piece in answer.read(event))
        assert any(isinstance(piece, Stop) for piece in answer.end())


@given(listing=ANY_EVENT)
def test_no_listing_however_odd_raises_anything(listing: dict[str, JSONValue]) -> None:
    models = read_models(listing, provider="openai", locality=Locality.CLOUD, clearance=Label.INTERNAL)
    assert all(model.clearance is Label.INTERNAL for model in models)


@given(data=st.binary(max_size=300))
def test_no_bytes_however_odd_decode_to_anything_but_an_object(data: bytes) -> None:
    with contextlib.suppress(UpstreamBrokenError):
        assert isinstance(decode(data), dict)


def test_data_of_several_lines_is_one_event_and_other_fields_are_none() -> None:
    buffer = EventBuffer()
    lines = [b"\xef\xbb\xbfid: 7", b": comment", b"event: x", b"data: one", b"data:two", b"retry: 1"]
    assert buffer.feed(lines) == []
    assert buffer.feed([b""]) == [b"one\ntwo"]
    assert buffer.feed([b""]) == []


def test_an_event_without_end_is_broken_before_it_fills_the_memory() -> None:
    buffer = EventBuffer()
    piece = b"data:" + b"x" * (LONGEST_LINE // 4)
    for _ in range(4):
        buffer.feed([piece])
    with pytest.raises(UpstreamBrokenError):
        buffer.feed([piece])


def test_content_after_the_finish_is_broken() -> None:
    answer = ChatAnswer(choices=1)
    list(answer.read({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}))
    list(answer.read({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}))
    with pytest.raises(UpstreamBrokenError):
        list(answer.read({"choices": [{"index": 0, "delta": {"content": "b"}}]}))


def test_tool_calls_without_positions_are_told_apart_by_their_ids() -> None:
    answer = ChatAnswer(choices=1)
    calls: list[JSONValue] = [
        {"id": "a", "function": {"name": "f", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "b", "function": {"name": "g", "arguments": {"x": 1}}},
    ]
    deltas = [
        delta for call in calls for delta in answer.read({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    ]
    assert calls_of(deltas) == [("a", "f", "{}"), ("b", "g", '{"x":1}')]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(prompt_tokens=3, completion_tokens=4)),
        ({"prompt_tokens": 3, "total_tokens": 7}, Usage(prompt_tokens=3, completion_tokens=4)),
        ({"completion_tokens": 4, "total_tokens": 7}, Usage(prompt_tokens=3, completion_tokens=4)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
            },
            Usage(
                prompt_tokens=9,
                completion_tokens=5,
                details=TokenDetails(cached=4, cache_write=2, audio=1, spoken=1, reasoning=3),
            ),
        ),
        (  # no part is larger than its whole
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "prompt_cache_hit_tokens": 2,
                "cache_creation_input_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 99},
            },
            Usage(prompt_tokens=3, completion_tokens=4, details=TokenDetails(cached=2, cache_write=1, reasoning=4)),
        ),
        ({"prompt_tokens": 9, "total_tokens": 7}, None),
        ({"prompt_tokens": 3}, None),
        ({"prompt_tokens": "3", "completion_tokens": 4.5}, None),
        ({"prompt_tokens": True, "completion_tokens": -1}, None),
        ({}, None),
    ],
)
def test_usage_is_read_where_it_adds_up_and_is_absent_where_it_does_not(
    usage: dict[str, JSONValue], expected: Usage | None
) -> None:
    assert read_usage(usage) == expected


def test_text_in_a_list_of_parts_is_joined_and_thinking_parts_are_not_content() -> None:
    content: JSONValue = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"text": "b"}]
    assert list(ChatAnswer(choices=1).read({"choices": [{"message": {"content": content}}]})) == [Delta(content="ab")]


# How it is


async def test_probing_lists_what_the_server_tells_of_its_models(egress: Egress) -> None:
    told: JSONValue = {
        "name": "A Model",
        "description": "Good.",
        "context_length": 32_000,
        "architecture": {"input_modalities": ["text", "image"]},
        "supported_parameters": ["temperature"],
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
    }
    free: JSONValue = {"pricing": {"prompt": "0", "completion": "0"}, "max_model_len": 4096}
    odd: JSONValue = {"pricing": {"prompt": "-1", "completion": "often"}}
    models: dict[str, Any] = {"some/model": told, "free": free, "odd": odd}
    async with ScriptedUpstream(OpenAIDialect(models=models)) as upstream:
        status = await provider_at(upstream, egress=egress).probe()
    cloud: dict[str, Any] = {"provider": "openai", "locality": Locality.CLOUD, "clearance": Label.INTERNAL}
    assert status.reachable
    assert status.models == (
        Model(
            name="some/model",
            context_length=32_000,
            vision=True,
            tools=False,
            price=Price(prompt=1e-6, completion=2e-6),
            title="A Model",
            description="Good.",
            **cloud,
        ),
        Model(name="free", context_length=4096, price=Price(prompt=0, completion=0), **cloud),
        Model(name="odd", **cloud),
    )


@pytest.mark.parametrize(
    ("behaviour", "reachable"),
    [(Status(401), False), (Status(503), False), (Status(404), True), (HtmlWith200(), True), (HalfJson(), True)],
    ids=str,
)
async def test_a_server_without_a_list_is_reachable_unless_it_fails_or_refuses_the_key(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour, reachable: bool
) -> None:
    upstream.script = lambda _request: behaviour
    status = await provider_at(upstream, egress=egress).probe()
    assert (status.reachable, status.models) == (reachable, None)
