"""One call to a model: what it is sent, and what it took, booked once when it ends, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from app.errors import UpstreamError, UpstreamGivenUpError
from app.models import Charge, Delta, Dispatch, Label, Model, Opening, Piece, Prompt, Usage
from app.services.answer import Draft, cost_of
from app.services.llm_router import Plan
from app.services.redaction import Outgoing

Book = Callable[[Charge], None]


class Call:
    """A prompt on its way to one model. `usage` is what the call took once it has ended, `None` if it took nothing.

    `first_piece_at` is when the answer began, on the event loop's clock.
    """

    def __init__(self, dispatch: Dispatch[Prompt], *, outgoing: Outgoing, book: Book) -> None:
        self.dispatch = dispatch
        self.usage: Usage | None = None
        self.first_piece_at: float | None = None
        self._outgoing = outgoing
        self._book = book
        self._draft = Draft()

    @property
    def model(self) -> Model:
        return self.dispatch.model

    @property
    def label(self) -> Label:
        """The label of the request, before anything was taken out."""
        return self._outgoing.reading.label

    @property
    def prompt(self) -> Prompt:
        return self.dispatch.payload

    def with_prompt(self, prompt: Prompt) -> Call:
        """A second call to the same model under the same label."""
        return Call(replace(self.dispatch, payload=prompt), outgoing=self._outgoing, book=self._book)

    @property
    def redacted_values(self) -> Mapping[str, str] | None:
        """What the placeholders in the prompt stand for, if this is its redacted version."""
        redacted = self._outgoing.version_for(self.model)
        return None if redacted is None else redacted.values

    @contextmanager
    def metered(self) -> Iterator[None]:
        """Book the call by how the block ends, in which its pieces are noted.

        A call that the server refused before it began to answer took nothing, nor did one without a connection. One
        that was left, or given up because it was late, took its prompt: the server was at work on it. So did one that
        failed after its answer had opened, though it said nothing: the server had read the prompt.
        """
        at_work = True
        try:
            yield
            at_work = self._draft.has_begun
        except UpstreamError as error:
            at_work = self._draft.has_begun or isinstance(error, UpstreamGivenUpError)
            raise
        finally:
            if at_work:
                self._settle()

    def note(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Count the pieces; those that a client may see.

        A delta without content means that the model thinks: neither it nor an opening is passed on.
        """
        if self.first_piece_at is None and not all(isinstance(piece, Opening) for piece in pieces):
            self.first_piece_at = asyncio.get_running_loop().time()
        self._draft.add(pieces)
        return [piece for piece in pieces if not _is_sign_of_life(piece)]

    def missing_usage(self) -> Sequence[Usage]:
        """An estimate of what an answer took that is over, unless its provider reported that."""
        if self._draft.usage is not None or not self._draft.has_begun:
            return ()
        return (self._draft.settled_usage(self.prompt, model=self.model.name),)

    def _settle(self) -> None:
        self.usage = self._draft.settled_usage(self.prompt, model=self.model.name)
        cost = cost_of(self.usage, model=self.model)
        self._book(
            Charge(model=self.model.id, usage=self.usage, cost=cost, price=self.model.price, tier=self.model.tier)
        )


def _is_sign_of_life(piece: Piece) -> bool:
    return piece.is_empty if isinstance(piece, Delta) else isinstance(piece, Opening)


def address(model: Model, *, plan: Plan, outgoing: Outgoing) -> Dispatch[Prompt]:
    """The version of the prompt that the model is cleared for, without the wishes that an answer is good without."""
    redacted = outgoing.version_for(model)
    prompt, reading = (outgoing.prompt, outgoing.reading) if redacted is None else (redacted.prompt, redacted.reading)
    streams = model.id not in plan.without_streaming
    if prompt.stream is not streams:
        prompt = replace(prompt, stream=streams)
    if plan.checks(model) and plan.cascade is not None:
        prompt = plan.cascade.prepare(prompt)
    if model.id in plan.without_sampling:
        prompt = replace(prompt, sampling=replace(prompt.sampling, temperature=None, top_p=None))
    return Dispatch(prompt, reading.label, model)
