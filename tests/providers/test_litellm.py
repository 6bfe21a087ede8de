from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from types import ModuleType

import pytest

from app.egress import Egress
from app.errors import (
    ContentFilterError,
    ContextLengthError,
    NotClearedError,
    UpstreamAuthenticationError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamModelNotFoundError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamUnavailableError,
)
from app.models import (
    Delta,
    Dispatch,
    ImagePart,
    JSONValue,
    Label,
    Locality,
    Message,
    Model,
    Opening,
    Sampling,
    Stop,
    TextPart,
    ToolCall,
    Tooling,
    Usage,
)
from app.protocols import ChatProvider
from app.utils.tracing import Tracer
from tests.providers.calls import (
    QUESTION,
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
from tests.support.batches import one_by_one
from tests.support.behaviours import (
    CloseWithoutLastChunk,
    ContentFilter,
    ContextTooLong,
    CutMidStream,
    ErrorMidStream,
    HalfJson,
    HtmlWith200,
    MalformedChunk,
    NoFinish,
    Redirect,
    ResetConnection,
    SlowFirstToken,
    StallMidStream,
    Status,
    ToolCalls,
)
from tests.support.upstream import ScriptedUpstream

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm's imports and clean-up warn; what is tested is the adapter

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CANARY = "quixotropic-vellichor"
MODELS = {"anthropic": "anthropic/claude-sonnet-4-5", "groq": "groq/llama-3.3-70b-versatile"}

Connect = Callable[..., ChatProvider]


@pytest.fixture(scope="module")
def adapter() -> ModuleType:
    """Imported only here: it takes seconds."""
    return importlib.import_module("app.providers.litellm_adapter")


@pytest.fixture
async def egress() -> AsyncGenerator[Egress, None]:
    async with open_egress() as egress:
        yield egress


@pytest.fixture(params=["anthropic", "groq"])
def route(request: pytest.FixtureRequest) -> str:
    """Two kinds of route through litellm: a protocol of its own, and a follower of OpenAI's."""
    name: str = request.param
    return name


@pytest.fixture
def upstream(route: str, anthropic_upstream: ScriptedUpstream, openai_upstream: ScriptedUpstream) -> ScriptedUpstream:
    return anthropic_upstream if route == "anthropic" else openai_upstream


@pytest.fixture
async def provider(
    adapter: ModuleType, egress: Egress, anthropic_upstream: ScriptedUpstream, openai_upstream: ScriptedUpstream
) -> AsyncIterator[ChatProvider]:
    base_urls = {"anthropic": anthropic_upstream.origin, "groq": f"{openai_upstream.origin}/v1"}
    keys = dict.fromkeys(base_urls, secrets.token_hex(16))
    provider: ChatProvider = adapter.LiteLLM(egress=egress, api_keys=keys, base_urls=base_urls, clock=lambda: NOW)
    yield provider
    await provider.close()


# What comes back


async def test_a_call_within_a_trace_tells_its_ids(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    with Tracer(lambda span: None).begin("chat") as span:
        await collect(provider, dispatch_to(MODELS[route]))
    assert span.context is not None
    assert upstream.requests[0].headers["traceparent"] == span.context.traceparent


def test_what_its_loggers_write_goes_where_all_lines_go(adapter: ModuleType) -> None:
    """Importing it gave them handlers of their own."""
    assert adapter.litellm is not None
    known = [name for name in logging.root.manager.loggerDict if name.startswith("LiteLLM")]
    assert len(known) >= 3
    assert [name for name in known if logging.getLogger(name).handlers] == []


@pytest.mark.parametrize("stream", [True, False])
async def test_a_complete_answer_is_its_text_one_stop_and_the_usage(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str, stream: bool
) -> None:
    pieces = await collect(provider, dispatch_to(MODELS[route], stream=stream))
    assert text_of(pieces) == "Water boils at 100 degrees."
    assert pieces[-2:] == [Stop(reason="stop"), Usage(prompt_tokens=11, completion_tokens=7)]
    assert len(upstream.requests) == 1


async def test_tool_calls_keep_their_arguments(provider: ChatProvider, upstream: ScriptedUpstream, route: str) -> None:
    upstream.script = ToolCalls([("look", '{"place": "Oslo"}'), ("count", '{"to": 3}')])
    tool: JSONValue = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    pieces = await collect(provider, dispatch_to(MODELS[route], tooling=Tooling(tools=(tool,))))
    assert [(name, arguments) for _, name, arguments in calls_of(pieces)] == [
        ("look", '{"place": "Oslo"}'),
        ("count", '{"to": 3}'),
    ]
    assert stops_of(pieces) == [Stop(reason="tool_calls")]


async def test_an_answer_cut_by_its_limit_says_so(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    upstream.script = Answer(finish="length")
    pieces = await collect(provider, dispatch_to(MODELS[route], sampling=Sampling(max_tokens=5)))
    assert stops_of(pieces) == [Stop(reason="length")]
    assert upstream.requests[0].json["max_tokens"] == 5


async def test_thinking_shows_as_life_but_not_as_content(
    provider: ChatProvider, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = Answer("Yes.", thinking="Hmm, let me see.")
    pieces = await collect(provider, dispatch_to(MODELS["groq"]))
    assert pieces[:2] == [Opening(), Delta()]
    assert text_of(pieces) == "Yes."


async def test_usage_that_was_not_reported_is_not_made_up(
    provider: ChatProvider, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = Answer(usage=None)
    assert usages_of(await collect(provider, dispatch_to(MODELS["groq"]))) == []


# What is sent


async def test_the_conversation_arrives_as_it_is(provider: ChatProvider, openai_upstream: ScriptedUpstream) -> None:
    messages = [
        Message.of("system", "Be brief."),
        Message(role="user", parts=(TextPart("What is this?"), ImagePart("data:image/png;base64,AA=="))),
        Message(role="assistant", tool_calls=(ToolCall("call_1", "look", '{"x": 1}'),)),
        Message(role="tool", parts=(TextPart("a cat"),), tool_call_id="call_1"),
    ]
    await collect(provider, dispatch_to(MODELS["groq"], messages=messages))
    sent = openai_upstream.requests[0].json["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert sent[1]["content"][1]["image_url"]["url"] == "data:image/png;base64,AA=="
    assert sent[2]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"x": 1}'}


async def test_wishes_a_model_cannot_take_are_left_out_and_demands_are_errors(
    provider: ChatProvider, anthropic_upstream: ScriptedUpstream
) -> None:
    await collect(provider, dispatch_to(MODELS["anthropic"], sampling=Sampling(seed=3, presence_penalty=1.0)))
    assert "seed" not in anthropic_upstream.requests[0].json
    anthropic_upstream.forget()
    with pytest.raises(UpstreamRejectedError):
        await collect(provider, dispatch_to(MODELS["anthropic"], sampling=Sampling(logprobs=True)))
    assert anthropic_upstream.received == b""


async def test_an_image_that_litellm_might_fetch_is_refused_before_anything_is_sent(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    image = Message(role="user", parts=(ImagePart(f"{upstream.origin}/cat.png"),))
    with pytest.raises(UpstreamRejectedError):
        await collect(provider, dispatch_to(MODELS[route], messages=[image]))
    assert upstream.received == b""


@pytest.mark.parametrize("locality", list(Locality))
async def test_a_confidential_prompt_is_not_sent_whatever_the_catalog_says_of_the_model(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str, locality: Locality
) -> None:
    dispatch = dispatch_to(MODELS[route])
    claimed = Model(provider=route, name=dispatch.model.name, locality=locality, clearance=Label.CONFIDENTIAL)
    with pytest.raises(NotClearedError):
        await collect(provider, Dispatch(dispatch.payload, Label.CONFIDENTIAL, claimed))
    assert upstream.received == b""


async def test_a_redirect_is_not_followed(
    provider: ChatProvider, upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, route: str
) -> None:
    upstream.script = Redirect(f"{ollama_upstream.origin}/v1/messages")
    with pytest.raises(UpstreamError):
        await collect(provider, dispatch_to(MODELS[route]))
    assert ollama_upstream.received == b""


async def test_a_proxy_from_the_environment_is_not_used(
    adapter: ModuleType,
    egress: Egress,
    upstream: ScriptedUpstream,
    ollama_upstream: ScriptedUpstream,
    route: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, ollama_upstream.origin)
    base_urls = {"anthropic": upstream.origin, "groq": f"{upstream.origin}/v1"}
    provider = adapter.LiteLLM(egress=egress, api_keys=dict.fromkeys(base_urls, "none"), base_urls=base_urls)
    assert text_of(await collect(provider, dispatch_to(MODELS[route]))) == "Water boils at 100 degrees."
    assert ollama_upstream.received == b""
    await provider.close()


# What goes wrong


BROKEN: list[Behaviour] = [
    HalfJson(),
    HtmlWith200(),
    CloseWithoutLastChunk(after=1),
    CutMidStream(after=1),
    ErrorMidStream(),
]


@pytest.mark.parametrize("behaviour", BROKEN, ids=lambda behaviour: type(behaviour).__name__)
async def test_an_answer_without_its_proper_end_is_an_error_and_never_a_short_success(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str, behaviour: Behaviour
) -> None:
    upstream.script = behaviour
    pieces, error = await collect_until_failure(provider, dispatch_to(MODELS[route]))
    assert stops_of(pieces) == []
    assert error.status in (502, 503)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("behaviour", [NoFinish(), MalformedChunk()], ids=lambda behaviour: type(behaviour).__name__)
async def test_a_finish_that_litellm_made_up_is_not_taken_for_one(
    provider: ChatProvider, anthropic_upstream: ScriptedUpstream, behaviour: Behaviour
) -> None:
    anthropic_upstream.script = behaviour
    with pytest.raises(UpstreamBrokenError):
        await collect(provider, dispatch_to(MODELS["anthropic"]))


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Status(400), UpstreamRejectedError),
        (Status(401), UpstreamAuthenticationError),
        (Status(404), UpstreamModelNotFoundError),
        (Status(429, retry_after=7), UpstreamRateLimitedError),
        (Status(500), UpstreamError),
        (Status(503), UpstreamUnavailableError),
        (ContextTooLong(), ContextLengthError),
        (ContentFilter(), ContentFilterError),
    ],
)
async def test_a_status_and_its_words_say_which_error_it_is(
    provider: ChatProvider,
    upstream: ScriptedUpstream,
    route: str,
    behaviour: Behaviour,
    error: type[UpstreamError],
) -> None:
    upstream.script = behaviour
    pieces, caught = await collect_until_failure(provider, dispatch_to(MODELS[route]))
    assert pieces == []
    assert type(caught) is error
    assert len(upstream.requests) == 1


async def test_a_rate_limit_carries_the_wait_that_the_server_asks_for(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    upstream.script = Status(429, retry_after=7)
    _, error = await collect_until_failure(provider, dispatch_to(MODELS[route]))
    assert error.retry_after == 7


async def test_a_reset_is_tried_once_more_by_the_library_and_then_an_error(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    upstream.script = ResetConnection()
    _, error = await collect_until_failure(provider, dispatch_to(MODELS[route]))
    assert error.status in (502, 503)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "behaviour",
    [Status(500, message=CANARY), Status(400, message=CANARY), ErrorMidStream(message=CANARY), HtmlWith200(CANARY)],
    ids=lambda behaviour: type(behaviour).__name__,
)
async def test_no_text_of_prompt_or_upstream_is_in_an_error_or_a_log_or_printed(
    provider: ChatProvider,
    upstream: ScriptedUpstream,
    route: str,
    behaviour: Behaviour,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    upstream.script = behaviour
    question = Message.of("user", f"secret-{CANARY}")
    _, error = await collect_until_failure(provider, dispatch_to(MODELS[route], messages=[question]))
    assert CANARY not in repr(error) + caplog.text
    assert capfd.readouterr() == ("", "")
    assert error.__suppress_context__ or error.__context__ is None


def test_what_litellm_logs_goes_nowhere(
    adapter: ModuleType, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    adapter.logging.getLogger("LiteLLM").error(CANARY)
    assert (caplog.text, capfd.readouterr()) == ("", ("", ""))


# Leaving


async def test_closing_the_iterator_leaves_the_upstream_at_once(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    upstream.script = StallMidStream(after=2)
    pieces = one_by_one(provider.complete(dispatch_to(MODELS[route])))
    first = await anext(pieces)
    assert (await anext(pieces) if first == Opening() else first) == Delta(content="Water ")
    await pieces.aclose()
    await upstream.wait_cancelled(within=0.2)


async def test_cancelling_the_wait_for_the_first_piece_leaves_the_upstream_at_once(
    provider: ChatProvider, upstream: ScriptedUpstream, route: str
) -> None:
    upstream.script = SlowFirstToken(asyncio.Event(), head=False)
    task = asyncio.create_task(collect(provider, dispatch_to(MODELS[route])))
    await upstream.wait_requests()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.wait_cancelled(within=0.2)


async def test_no_task_is_left_behind(provider: ChatProvider, upstream: ScriptedUpstream, route: str) -> None:
    await collect(provider, dispatch_to(MODELS[route], messages=QUESTION))
    before = asyncio.all_tasks()
    for _ in range(3):
        await collect(provider, dispatch_to(MODELS[route], messages=QUESTION))
    left = {task.get_name() for task in asyncio.all_tasks() - before if "litellm_adapter" in repr(task)}
    assert left == set()


async def test_nothing_is_sent_to_learn_whether_providers_answer(
    provider: ChatProvider, upstream: ScriptedUpstream
) -> None:
    assert (await provider.probe()).reachable
    assert upstream.received == b""
