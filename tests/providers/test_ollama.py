from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.egress import Egress
from app.errors import (
    ContextLengthError,
    RemoteModelError,
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
    Opening,
    Prompt,
    Sampling,
    Stop,
    TextPart,
    ToolCall,
    Tooling,
    Usage,
)
from app.providers.ollama import Ollama
from app.providers.ollama.answer import ChatAnswer
from app.providers.ollama.facts import ModelFacts, has_cloud_name, read_facts, tagged
from app.providers.ollama.inventory import CONFIRMED_SECONDS
from app.providers.ollama.request import chat_body, needed_window
from tests.providers.calls import (
    NO_TOOLS,
    PLAIN,
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
    Chopped,
    CloseWithoutLastChunk,
    ContextTooLong,
    CutMidStream,
    ErrorMidStream,
    HalfJson,
    HtmlWith200,
    MalformedChunk,
    NoDone,
    NoFinish,
    Redirect,
    RemoteHost,
    StallMidStream,
    Status,
    ToolCalls,
)
from tests.support.dialects.ollama import OllamaDialect, OllamaModel
from tests.support.ports import free_port
from tests.support.upstream import ScriptedUpstream

FRAME_KEYS = [
    "arguments", "capabilities", "content", "details", "done", "done_reason", "error", "eval_count", "family",
    "function", "general.architecture", "id", "logprobs", "message", "model_info", "name", "parameters",
    "prompt_eval_count", "remote_host", "remote_model", "template", "thinking", "tool_calls",
]  # fmt: skip
LOCAL_FACTS = ModelFacts(remote=False)
CANARY = "quixotropic-vellichor"


class Ticks:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def egress() -> AsyncGenerator[Egress, None]:
    async with open_egress() as egress:
        yield egress


@pytest.fixture
def upstream(ollama_upstream: ScriptedUpstream) -> ScriptedUpstream:
    return ollama_upstream


def provider_at(upstream: ScriptedUpstream, *, egress: Egress, clock: Ticks | None = None) -> Ollama:
    return Ollama(
        base_url=upstream.origin,
        egress=egress,
        cloud_clearance=Label.PUBLIC,
        new_call_id=lambda: "call_new",
        monotonic=clock or Ticks(),
    )


def dispatch_local(model: str = "ollama/llama3", **parts: Any) -> Dispatch[Prompt]:
    return dispatch_to(model, **{"locality": Locality.LOCAL, "label": Label.CONFIDENTIAL, **parts})


def body_for(
    *messages: Message,
    sampling: Sampling = PLAIN,
    tooling: Tooling = NO_TOOLS,
    facts: ModelFacts = LOCAL_FACTS,
) -> dict[str, JSONValue]:
    return chat_body(Prompt(messages=messages, sampling=sampling, tooling=tooling), model="llama3", facts=facts)


def paths(upstream: ScriptedUpstream) -> list[str]:
    return [request.path for request in upstream.requests]


# What is sent


def test_what_the_caller_left_out_is_not_sent_and_a_prompt_is_never_cut_short() -> None:
    assert body_for(Message.of("user", "Hello")) == {
        "model": "llama3",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "truncate": False,
    }


def test_sampling_becomes_options() -> None:
    sampling = Sampling(
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=("END",),
        seed=3,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        top_logprobs=2,
    )
    body = body_for(sampling=sampling)
    assert body["options"] == {
        "temperature": 0.0,
        "top_p": 0.5,
        "num_predict": 7,
        "stop": ("END",),
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)


def test_a_conversation_with_tools_and_images_takes_the_apis_shape() -> None:
    body = body_for(
        Message.of("developer", "Be brief."),
        Message(role="user", parts=(TextPart("What is this?"), ImagePart("data:image/png;base64,AAEC"))),
        Message(role="assistant", tool_calls=(ToolCall("call_1", "look", '{"x": 1}'), ToolCall("call_2", "stay", ""))),
        Message(role="tool", parts=(TextPart("a cat"),), tool_call_id="call_1"),
    )
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": ["AAEC"]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_1", "function": {"name": "look", "arguments": {"x": 1}}},
                {"id": "call_2", "function": {"name": "stay", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "a cat", "tool_name": "look", "tool_call_id": "call_1"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", parts=(ImagePart("https://example.org/cat.png"),)),
        Message(role="user", parts=(ImagePart("data:image/svg+xml,%3Csvg/%3E"),)),
        Message(role="assistant", tool_calls=(ToolCall("call_1", "look", "not JSON"),)),
        Message(role="assistant", tool_calls=(ToolCall("call_1", "look", "[1]"),)),
        Message(role="assistant", tool_calls=(ToolCall("call_1", "look", '{"x": "\ud800"}'),)),
    ],
)
def test_what_the_api_has_no_words_for_is_refused(message: Message) -> None:
    with pytest.raises(UpstreamRejectedError):
        body_for(message)


def test_several_choices_are_refused() -> None:
    with pytest.raises(UpstreamRejectedError):
        body_for(sampling=Sampling(n=2))


SCHEMA: JSONValue = {"type": "object", "properties": {"x": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("response_format", "sent"),
    [
        (None, "absent"),
        ({"type": "text"}, "absent"),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}, SCHEMA),
    ],
)
def test_json_mode_and_schemas_become_the_format(response_format: JSONValue, sent: JSONValue) -> None:
    body = body_for(tooling=Tooling(response_format=response_format))
    assert body.get("format", "absent") == sent


LOOK: JSONValue = {"type": "function", "function": {"name": "look"}}
STAY: JSONValue = {"type": "function", "function": {"name": "stay"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, (LOOK, STAY)),
        ("auto", (LOOK, STAY)),
        ("none", "absent"),
        ({"type": "function", "function": {"name": "stay"}}, (STAY,)),
    ],
)
def test_a_choice_of_tools_narrows_the_list_of_tools(choice: JSONValue, sent: JSONValue) -> None:
    body = body_for(tooling=Tooling(tools=(LOOK, STAY), tool_choice=choice))
    assert body.get("tools", "absent") == sent


@pytest.mark.parametrize(
    ("effort", "facts", "sent"),
    [
        ("high", LOCAL_FACTS, "absent"),
        (None, ModelFacts(remote=False, thinking=True), "absent"),
        ("high", ModelFacts(remote=False, thinking=True, family="qwen3"), True),
        ("none", ModelFacts(remote=False, thinking=True, family="qwen3"), False),
        ("high", ModelFacts(remote=False, thinking=True, family="gptoss"), "high"),
        ("minimal", ModelFacts(remote=False, thinking=True, family="gptoss"), "absent"),
    ],
)
def test_reasoning_effort_reaches_only_models_that_think(
    effort: str | None, facts: ModelFacts, sent: JSONValue
) -> None:
    assert body_for(sampling=Sampling(reasoning_effort=effort), facts=facts).get("think", "absent") == sent


@pytest.mark.parametrize(
    ("words", "max_tokens", "facts", "window"),
    [
        (100, None, LOCAL_FACTS, None),
        (100, 5000, LOCAL_FACTS, 8192),
        (4000, None, LOCAL_FACTS, 8192),
        (9000, None, LOCAL_FACTS, 16_384),
        (9000, None, ModelFacts(remote=False, context_length=12_000), 12_000),
        (9000, None, ModelFacts(remote=False, window=32_768), None),
    ],
)
def test_a_window_is_asked_for_when_the_prompt_needs_more_than_the_server_gives(
    words: int, max_tokens: int | None, facts: ModelFacts, window: int | None
) -> None:
    prompt = Prompt(messages=(Message.of("user", "word " * words),), sampling=Sampling(max_tokens=max_tokens))
    assert needed_window(prompt, facts=facts) == window


# What comes back


@pytest.mark.parametrize("stream", [True, False])
async def test_a_complete_answer_is_its_text_one_stop_and_the_usage(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local(stream=stream))
    assert text_of(pieces) == "Water boils at 100 degrees."
    assert pieces[-2:] == [Stop(reason="stop"), Usage(prompt_tokens=11, completion_tokens=7)]
    assert upstream.completions[0].json["stream"] is stream


async def test_a_stream_is_read_however_it_is_cut(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Chopped(of=Answer("Größe: 水は100℃で沸騰する 🫖"))
    assert text_of(await collect(provider_at(upstream, egress=egress), dispatch_local())) == (
        "Größe: 水は100℃で沸騰する 🫖"
    )


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls_become_json_text_and_the_finish_says_so(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    upstream.script = ToolCalls([("look", '{"place": "Oslo"}'), ("count", '{"to": 3}')])
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local(stream=stream))
    assert [(name, arguments) for _, name, arguments in calls_of(pieces)] == [
        ("look", '{"place":"Oslo"}'),
        ("count", '{"to":3}'),
    ]
    assert stops_of(pieces) == [Stop(reason="tool_calls")]


async def test_a_tool_call_without_an_id_is_given_one(egress: Egress, upstream: ScriptedUpstream) -> None:
    upstream.script = Answer("", tool_calls=[ToolCall("", "look", "{}")])
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local())
    assert calls_of(pieces) == [("call_new", "look", "{}")]


@pytest.mark.parametrize("stream", [True, False])
async def test_thinking_shows_as_life_but_not_as_content(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    upstream.script = Answer("Yes.", thinking="Hmm.\nLet me see.")
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local("ollama/qwen3:8b", stream=stream))
    assert text_of(pieces) == "Yes."
    assert not stream or pieces[0] == Delta()


async def test_an_answer_that_opens_without_a_word_says_so_once(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Answer(pieces=("", "", "Yes."))
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local())
    assert pieces[:2] == [Opening(), Delta(content="Yes.")]


async def test_an_answer_cut_by_its_limit_says_so(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Answer(finish="length")
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local())
    assert stops_of(pieces) == [Stop(reason="length")]


async def test_an_answer_without_usage_yields_none(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = Answer(usage=None)
    assert usages_of(await collect(provider_at(upstream, egress=egress), dispatch_local())) == []


async def test_log_probabilities_take_openais_form(upstream: ScriptedUpstream, egress: Egress) -> None:
    token: JSONValue = {"token": "Water", "logprob": -0.1, "bytes": [87], "top_logprobs": []}
    upstream.script = Answer("Water", extra={"logprobs": [token]})
    pieces = await collect(provider_at(upstream, egress=egress), dispatch_local())
    assert pieces[0] == Delta(content="Water", logprobs={"content": [token]})


async def test_one_connection_serves_many_complete_answers(upstream: ScriptedUpstream, egress: Egress) -> None:
    provider = provider_at(upstream, egress=egress)
    for stream in (True, False, True, True):
        await collect(provider, dispatch_local(stream=stream))
    assert upstream.connections == 1


# What goes wrong


BROKEN_IN_BOTH_MODES: list[Behaviour] = [
    NoDone(),
    NoFinish(),
    HalfJson(),
    HtmlWith200(),
    MalformedChunk(),
    CloseWithoutLastChunk(after=1),
    CutMidStream(after=1),
    Answer(finish="load"),
    Redirect("http://127.0.0.1:9/elsewhere"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("behaviour", BROKEN_IN_BOTH_MODES, ids=lambda behaviour: type(behaviour).__name__)
async def test_an_answer_without_its_proper_end_is_an_error_and_never_a_short_success(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour, stream: bool
) -> None:
    upstream.script = [behaviour]
    with pytest.raises(UpstreamBrokenError):
        await collect(provider_at(upstream, egress=egress), dispatch_local(stream=stream))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Status(400, message='"llama3" does not support tools'), UpstreamRejectedError),
        (Status(404), UpstreamModelNotFoundError),
        (Status(429), UpstreamRateLimitedError),
        (Status(500), UpstreamError),
        (Status(503), UpstreamUnavailableError),
        (ContextTooLong(), ContextLengthError),
        (ContextTooLong(message="prompt too long; exceeded max context length by 5 tokens"), ContextLengthError),
        (ErrorMidStream(after=0), UpstreamError),
    ],
)
async def test_a_status_or_an_error_frame_says_which_error_it_is(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour, error: type[UpstreamError], stream: bool
) -> None:
    upstream.script = [behaviour]
    with pytest.raises(UpstreamError) as caught:
        await collect(provider_at(upstream, egress=egress), dispatch_local(stream=stream))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "behaviour", [Status(500, message=CANARY), ErrorMidStream(message=CANARY), HtmlWith200(text=CANARY)]
)
async def test_no_text_of_the_upstream_is_in_an_error(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour
) -> None:
    upstream.script = [behaviour]
    with pytest.raises(UpstreamError) as caught:
        await collect(provider_at(upstream, egress=egress), dispatch_local())
    assert CANARY not in repr(caught.value)


async def test_a_model_that_is_not_pulled_is_not_found_and_not_sent_the_prompt(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    with pytest.raises(UpstreamModelNotFoundError):
        await collect(provider_at(upstream, egress=egress), dispatch_local("ollama/absent"))
    assert paths(upstream) == ["/api/show"]


async def test_a_server_that_is_not_there_is_unavailable(egress: Egress) -> None:
    provider = Ollama(base_url=f"http://127.0.0.1:{free_port()}", egress=egress, cloud_clearance=Label.PUBLIC)
    with pytest.raises(UpstreamUnavailableError):
        await collect(provider, dispatch_local())
    assert (await provider.probe()).reachable is False


async def test_closing_the_iterator_leaves_the_upstream_at_once(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = [StallMidStream(after=1)]
    pieces = one_by_one(provider_at(upstream, egress=egress).complete(dispatch_local()))
    assert await anext(pieces) == Delta(content="Water ")
    await pieces.aclose()
    await upstream.wait_cancelled(within=0.1)


# What is local


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_from_another_host_ends_the_call_before_its_text_and_quarantines_the_model(
    upstream: ScriptedUpstream, egress: Egress, stream: bool
) -> None:
    upstream.script = [RemoteHost()]
    provider = provider_at(upstream, egress=egress)
    pieces, error = await collect_until_failure(provider, dispatch_local(stream=stream))
    assert pieces == []
    assert isinstance(error, RemoteModelError)
    assert provider.quarantined == {"llama3:latest"}
    upstream.forget()
    with pytest.raises(RemoteModelError):
        await collect(provider, dispatch_local("ollama/LLaMA3"))
    assert upstream.received == b""
    listed = {model.name: model for model in (await provider.probe()).models or ()}
    assert (listed["llama3:latest"].locality, listed["llama3:latest"].clearance) == (Locality.CLOUD, Label.PUBLIC)
    assert listed["qwen3:8b"].locality is Locality.LOCAL


REMOTE_MODELS: Sequence[OllamaModel] = (
    OllamaModel(name="gpt-oss:120b-cloud"),
    OllamaModel(name="kimi-k2:CLOUD"),
    OllamaModel(name="quiet:latest", remote_host="https://ollama.com:443"),
    OllamaModel(name="renamed:latest", remote_model="gpt-oss:120b"),
)


@pytest.mark.parametrize("model", REMOTE_MODELS, ids=lambda model: model.name)
async def test_a_model_that_runs_elsewhere_is_listed_as_cloud_and_sent_nothing_as_a_local_one(
    egress: Egress, model: OllamaModel
) -> None:
    async with ScriptedUpstream(OllamaDialect(models=[model])) as upstream:
        provider = provider_at(upstream, egress=egress)
        (listed,) = (await provider.probe()).models or ()
        assert (listed.locality, listed.clearance) == (Locality.CLOUD, Label.PUBLIC)
        with pytest.raises(RemoteModelError):
            await collect(provider, dispatch_local(f"ollama/{model.name}", messages=[Message.of("user", CANARY)]))
        assert CANARY.encode() not in upstream.received


async def test_a_cloud_model_may_answer_from_another_host(upstream: ScriptedUpstream, egress: Egress) -> None:
    upstream.script = [RemoteHost()]
    provider = provider_at(upstream, egress=egress)
    pieces = await collect(provider, dispatch_to("ollama/llama3", locality=Locality.CLOUD))
    assert text_of(pieces) == "Water boils at 100 degrees."
    assert provider.quarantined == frozenset()


@pytest.mark.parametrize("shown", [Status(500), HtmlWith200(), HalfJson(), Answer()], ids=str)
async def test_a_model_that_cannot_be_asked_about_is_cloud_and_sent_nothing_as_a_local_one(
    upstream: ScriptedUpstream, egress: Egress, shown: Behaviour
) -> None:
    upstream.script = lambda request: shown if request.path == "/api/show" else None
    provider = provider_at(upstream, egress=egress)
    unreadable = not isinstance(shown, Answer)
    models = (await provider.probe()).models or ()
    assert {model.locality for model in models} == {Locality.CLOUD if unreadable else Locality.LOCAL}
    if unreadable:
        with pytest.raises(UpstreamError):
            await collect(provider, dispatch_local())
        assert upstream.completions == []


async def test_every_model_of_a_server_at_an_address_that_is_not_local_is_cloud(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    # 0.0.0.0 reaches this machine and is none of the addresses that count as local.
    base_url = f"http://0.0.0.0:{upstream.port}"
    provider = Ollama(base_url=base_url, egress=egress, cloud_clearance=Label.PUBLIC)
    models = (await provider.probe()).models or ()
    assert {(model.locality, model.clearance) for model in models} == {(Locality.CLOUD, Label.PUBLIC)}


async def test_a_model_is_asked_about_once_and_again_when_that_has_aged(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    clock = Ticks()
    provider = provider_at(upstream, egress=egress, clock=clock)
    await collect(provider, dispatch_local())
    await collect(provider, dispatch_local())
    assert paths(upstream) == ["/api/show", "/api/chat", "/api/chat"]
    clock.now += CONFIRMED_SECONDS
    await collect(provider, dispatch_local())
    assert paths(upstream)[3:] == ["/api/show", "/api/chat"]


async def test_calls_at_once_ask_about_their_model_each_on_its_own_and_all_succeed(
    upstream: ScriptedUpstream, egress: Egress
) -> None:
    provider = provider_at(upstream, egress=egress)
    answers = await asyncio.gather(*(collect(provider, dispatch_local()) for _ in range(5)))
    assert {text_of(pieces) for pieces in answers} == {"Water boils at 100 degrees."}


@pytest.mark.parametrize(
    ("name", "cloud"),
    [("a:cloud", True), ("a:1b-Cloud", True), ("a-CLOUD", True), ("cloudy:8b", False), ("cloud/a:8b", False)],
)
def test_a_cloud_model_is_known_by_the_end_of_its_name(name: str, cloud: bool) -> None:
    assert has_cloud_name(name) is cloud


@pytest.mark.parametrize(
    ("name", "full"),
    [("Llama3", "llama3:latest"), ("a:8b", "a:8b"), ("host:5000/me/a", "host:5000/me/a:latest")],
)
def test_a_name_without_a_tag_means_the_latest(name: str, full: str) -> None:
    assert tagged(name) == full


# How it is


async def test_probing_lists_the_models_that_chat_and_what_they_can(egress: Egress) -> None:
    models = [
        OllamaModel(name="eyes:7b", context_length=32_768, capabilities=("completion", "vision")),
        OllamaModel(name="embed:latest", capabilities=("embedding",)),
    ]
    async with ScriptedUpstream(OllamaDialect(models=models)) as upstream:
        provider = provider_at(upstream, egress=egress)
        (eyes,) = (await provider.probe()).models or ()
        assert (eyes.id, eyes.locality, eyes.clearance) == ("ollama/eyes:7b", Locality.LOCAL, Label.CONFIDENTIAL)
        assert (eyes.context_length, eyes.vision, eyes.tools) == (32_768, True, False)


async def test_probing_again_is_one_request(upstream: ScriptedUpstream, egress: Egress) -> None:
    provider = provider_at(upstream, egress=egress)
    first = await provider.probe()
    upstream.forget()
    assert await provider.probe() == first
    assert paths(upstream) == ["/api/tags"]


@pytest.mark.parametrize("behaviour", [Status(500), HtmlWith200()])
async def test_a_server_that_does_not_list_its_models_is_not_reachable(
    upstream: ScriptedUpstream, egress: Egress, behaviour: Behaviour
) -> None:
    upstream.script = lambda _request: behaviour
    status = await provider_at(upstream, egress=egress).probe()
    assert (status.reachable, status.models) == (False, None)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.sampled_from(["", "stop", "load", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FRAME_KEYS), inner, max_size=5),
    max_leaves=25,
)
ANY_FRAME = st.dictionaries(st.sampled_from(FRAME_KEYS), ANY_JSON, max_size=6)


@given(frames=st.lists(ANY_FRAME, max_size=4))
def test_no_frame_however_odd_raises_anything_but_an_upstream_error(frames: list[dict[str, JSONValue]]) -> None:
    answer = ChatAnswer(local=True, new_id=lambda: "call_new")
    with contextlib.suppress(UpstreamError):
        for frame in frames:
            list(answer.read(frame))
            assert not frame.get("remote_host")
            assert not frame.get("remote_model")


@given(shown=ANY_FRAME)
def test_no_description_however_odd_raises_anything(shown: dict[str, JSONValue]) -> None:
    assert read_facts(shown).remote == bool(shown.get("remote_host") or shown.get("remote_model"))


def test_servers_without_capabilities_are_read_by_their_older_fields() -> None:
    shown: JSONValue = {
        "template": "{{ if .Tools }}",
        "parameters": 'num_ctx                        16384\nstop "x"',
        "projector_info": {"general.type": "projector"},
        "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
    }
    assert isinstance(shown, dict)
    assert read_facts(shown) == ModelFacts(
        remote=False, vision=True, tools=True, family="llama", context_length=8192, window=16_384
    )
