"""What spans tell of answers and of calls to models, in OpenTelemetry's GenAI conventions where they have words for it.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/; what they have none for is named `sluice.`. No value
is a text of a client's or of a model's, but for the messages of public requests where the operator allows that.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import orjson

from app.models import Caller, Dispatch, Event, Finished, Label, Message, Model, Piece, Started, Usage
from app.services.answer import Draft
from app.services.calls import Call
from app.utils.tracing import NOTHING, AttributeValue, RecordedSpan, Span, SpanKind, Tracer, name_of, step

Attributes = Mapping[str, AttributeValue | None]

# Names that the conventions have for providers that we name otherwise.
PROVIDER_NAMES = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"}


def trace_answer(
    events: AsyncGenerator[Sequence[Event], None], *, caller: Caller, tracer: Tracer | None
) -> AsyncGenerator[Sequence[Event], None]:
    """The same events, as a span of their own and one from the first token on."""
    return events if tracer is None else _trace_answer(events, caller=caller, tracer=tracer)


async def _trace_answer(
    batches: AsyncGenerator[Sequence[Event], None], *, caller: Caller, tracer: Tracer
) -> AsyncGenerator[Sequence[Event], None]:
    streaming = NOTHING
    with tracer.begin("answer") as span:
        span.set({"sluice.tenant": caller.tenant})
        try:
            async with aclosing(batches):
                async for events in batches:
                    for event in events:
                        if isinstance(event, Started):
                            span.set(_of_start(event))
                            streaming = span.step("streaming")
                        elif isinstance(event, Finished):
                            span.set(_of_finish(event))
                    yield events
        except BaseException as error:
            streaming.fail(name_of(error))
            raise
        finally:
            streaming.end()


def _of_start(event: Started) -> Attributes:
    route = event.route
    return {
        "gen_ai.request.model": event.model,
        "sluice.label": route.label.word,
        "sluice.raised_by": tuple(dict.fromkeys(finding.detector for finding in route.raised_by)),
        "sluice.rule": route.rule,
        "sluice.complexity": str(route.complexity),
        "sluice.cache": route.cache,
        "sluice.history": route.history,
        "sluice.attempts": len(route.attempts),
    }


def _of_finish(event: Finished) -> Attributes:
    return {
        **_of_usage(event.usage),
        "gen_ai.response.finish_reasons": event.finish_reasons,
        "sluice.citations": len(event.citations),
        "sluice.grounding": str(event.grounding.outcome),
        "sluice.cached": event.cached,
        "sluice.cost_usd": event.cost,
    }


def trace_call(batches: AsyncGenerator[Sequence[Piece], None], *, call: Call) -> AsyncGenerator[Sequence[Piece], None]:
    """The same pieces, as the span of one call to a model: a step of the request that the call is made for."""
    span = step("chat", kind=SpanKind.CLIENT)
    return _trace_call(batches, call=call, span=span) if isinstance(span, RecordedSpan) else batches


async def _trace_call(
    batches: AsyncGenerator[Sequence[Piece], None], *, call: Call, span: RecordedSpan
) -> AsyncGenerator[Sequence[Piece], None]:
    draft, began = Draft(), time.monotonic()
    with span:
        span.name = f"chat {call.model.name}"
        span.set(_of_model(call.model, operation="chat", label=call.dispatch.label))
        span.set(_of_request(call))
        try:
            async with aclosing(batches):
                async for pieces in batches:
                    if not draft.deltas:
                        span.set({"gen_ai.response.time_to_first_chunk": time.monotonic() - began})
                    draft.add(pieces)
                    yield pieces
        finally:
            reasons = draft.finish_reasons
            span.set({**_of_usage(call.usage), "gen_ai.response.finish_reasons": reasons or None})
            if span.tracer.content and call.label is Label.PUBLIC:
                span.set(_content(call, draft))


def embedding_step(dispatch: Dispatch[Sequence[str]]) -> Span:
    """The span of one call to an embedding model, to be entered."""
    span = step("embeddings", kind=SpanKind.CLIENT)
    if isinstance(span, RecordedSpan):
        span.name = f"embeddings {dispatch.model.name}"
        span.set(_of_model(dispatch.model, operation="embeddings", label=dispatch.label))
        span.set({"sluice.texts": len(dispatch.payload)})
    return span


def _of_model(model: Model, *, operation: str, label: Label) -> Attributes:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDER_NAMES.get(model.provider, model.provider),
        "gen_ai.request.model": model.name,
        "sluice.model": model.id,
        "sluice.locality": str(model.locality),
        "sluice.label": label.word,
    }


def _of_request(call: Call) -> Attributes:
    sampling = call.prompt.sampling
    return {
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.request.choice.count": sampling.n,
        "gen_ai.request.stream": call.prompt.stream,
        "sluice.messages": len(call.prompt.messages),
        "sluice.passages": len(call.prompt.passages),
    }


def _of_usage(usage: Usage | None) -> Attributes:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "sluice.usage_estimated": usage.estimated,
    }


def _content(call: Call, draft: Draft) -> Attributes:
    """The messages in the form that the conventions give them, as JSON."""
    answers = draft.choices if draft.deltas else ()
    return {
        "gen_ai.input.messages": orjson.dumps([_message(each) for each in call.prompt.messages]).decode(),
        "gen_ai.output.messages": orjson.dumps([_message(each) for each in answers]).decode(),
    }


def _message(message: Message) -> dict[str, object]:
    return {"role": message.role, "parts": [{"type": "text", "content": message.text}]}
