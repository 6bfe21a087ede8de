"""What the tests of providers have in common: an egress, prompts on their way, and answers read to their end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from app.egress import Egress, LocalNetworks
from app.errors import UpstreamError
from app.models import (
    Delta,
    Dispatch,
    Label,
    Locality,
    Message,
    Model,
    Passage,
    Piece,
    Prompt,
    Sampling,
    Stop,
    Tooling,
    Usage,
)
from app.protocols import ChatProvider
from tests.support.batches import one_by_one

QUESTION = (Message.of("user", "At what temperature does water boil?"),)

PLAIN = Sampling()
NO_TOOLS = Tooling()


@asynccontextmanager
async def open_egress(*, total_timeout: float = 5.0) -> AsyncGenerator[Egress, None]:
    """An egress as the service has it, for cloud models up to `internal`."""
    egress = Egress(
        cloud_clearance=Label.INTERNAL, networks=LocalNetworks(), connect_timeout=1.0, total_timeout=total_timeout
    )
    try:
        yield egress
    finally:
        await egress.close()


def dispatch_to(
    model: str,
    *,
    messages: Sequence[Message] = QUESTION,
    label: Label = Label.PUBLIC,
    locality: Locality = Locality.CLOUD,
    stream: bool = True,
    sampling: Sampling = PLAIN,
    tooling: Tooling = NO_TOOLS,
    passages: Sequence[Passage] = (),
    context_length: int | None = None,
) -> Dispatch[Prompt]:
    """A prompt for the model `provider/name`, cleared as high as its locality allows."""
    provider, _, name = model.partition("/")
    clearance = Label.CONFIDENTIAL if locality is Locality.LOCAL else Label.INTERNAL
    prompt = Prompt(
        messages=tuple(messages), sampling=sampling, tooling=tooling, passages=tuple(passages), stream=stream
    )
    target = Model(provider=provider, name=name, locality=locality, clearance=clearance, context_length=context_length)
    return Dispatch(prompt, label, target)


def dispatch_local_builtin(
    question: str,
    *,
    before: Sequence[Message] = (),
    passages: Sequence[Passage] = (),
    sampling: Sampling = PLAIN,
    tooling: Tooling = NO_TOOLS,
) -> Dispatch[Prompt]:
    """A confidential question for the built-in model, with what was retrieved for it."""
    return dispatch_to(
        "builtin/extractive",
        messages=[*before, Message.of("user", question)],
        label=Label.CONFIDENTIAL,
        locality=Locality.LOCAL,
        passages=passages,
        sampling=sampling,
        tooling=tooling,
    )


async def collect(provider: ChatProvider, dispatch: Dispatch[Prompt]) -> list[Piece]:
    return [piece async for piece in one_by_one(provider.complete(dispatch))]


async def collect_until_failure(
    provider: ChatProvider, dispatch: Dispatch[Prompt]
) -> tuple[list[Piece], UpstreamError]:
    """What a call that fails gives out before it does, and how it fails."""
    pieces = []
    try:
        async for piece in one_by_one(provider.complete(dispatch)):
            pieces.append(piece)  # noqa: PERF401  (a comprehension would lose what came before the error)
    except UpstreamError as error:
        return pieces, error
    raise AssertionError("the call did not fail")


def text_of(pieces: Sequence[Piece], *, index: int = 0) -> str:
    return "".join(piece.content for piece in pieces if isinstance(piece, Delta) and piece.index == index)


def stops_of(pieces: Sequence[Piece]) -> list[Stop]:
    return [piece for piece in pieces if isinstance(piece, Stop)]


def usages_of(pieces: Sequence[Piece]) -> list[Usage]:
    return [piece for piece in pieces if isinstance(piece, Usage)]


def calls_of(pieces: Sequence[Piece]) -> list[tuple[str | None, str | None, str]]:
    """Id, name and arguments of each tool call, put together from its deltas."""
    calls: dict[int, tuple[str | None, str | None, str]] = {}
    for delta in (piece for piece in pieces if isinstance(piece, Delta)):
        for call in delta.tool_calls:
            known_id, name, arguments = calls.get(call.position, (None, None, ""))
            calls[call.position] = (call.id or known_id, call.name or name, arguments + call.arguments)
    return [calls[position] for position in sorted(calls)]
