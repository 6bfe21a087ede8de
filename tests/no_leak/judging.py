"""Running cells and their public twins, and judging what came out where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.no_leak.cells import Cell, by_failure, needs
from tests.no_leak.configurations import Configuration
from tests.no_leak.drafts import SECRETS, SHORT_SECRETS, Draft, Words, choose_words
from tests.no_leak.failures import FAILURES
from tests.no_leak.origins import ORIGINS
from tests.no_leak.stage import Reply, Stage, gather
from tests.no_leak.surfaces import SURFACES, draft_of
from tests.support.canaries import find_canary

LABEL_OF_TWINS = "public"


@dataclass(slots=True, kw_only=True)
class Run:
    """One side of a cell: the sensitive one, or its public twin."""

    cell: Cell
    draft: Draft
    label: str
    replies: list[Reply] = field(default_factory=list)

    @property
    def words(self) -> Words:
        return self.draft.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`leaks` says in which form which word was found where; `faults` what else is wrong with the cell."""

    cell: Cell
    leaks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.leaks and not self.faults

    def __str__(self) -> str:
        return f"{self.cell}: {'; '.join((*self.leaks, *self.faults)) or 'nothing leaked'}"


async def judge(cells: Sequence[Cell], *, stage: Stage, configuration: Configuration) -> list[Verdict]:
    """A verdict for each cell that this stage can play."""
    playable = [cell for cell in cells if needs(cell) <= stage.can]
    verdicts = []
    for failure, batch in by_failure(playable):
        runs = [(_run(cell, configuration, twin=False), _run(cell, configuration, twin=True)) for cell in batch]
        await _play(runs, failure=failure, stage=stage, times=configuration.times)
        verdicts += await _inspect(runs, stage=stage, configuration=configuration)
    return verdicts


def _run(cell: Cell, configuration: Configuration, *, twin: bool) -> Run:
    origin, surface = ORIGINS[cell.origin], SURFACES[cell.surface]
    seed = f"{cell} {'twin' if twin else 'canary'}"
    words = choose_words(seed, secret=_secret(cell) if origin.detected and not twin else None)
    draft = draft_of(surface, position=cell.position, words=words)
    label = LABEL_OF_TWINS if twin else configuration.above
    if cell.position in ("passage", "title of a passage") and not cell.origin.startswith("document"):
        draft.add_document()["sensitivity"] = LABEL_OF_TWINS
    if surface.kind == "search":
        draft.add_document()["sensitivity"] = LABEL_OF_TWINS
    if (surface.kind == "store" and origin.detected) or cell.origin in ("header", "detector crash"):
        _state_document(draft)
    origin.apply(draft, label)
    if surface.kind in ("chat", "explain") and (configuration.stated or (twin and FAILURES[cell.failure].remembered)):
        draft.body["model"] = configuration.cloud
    return Run(cell=cell, draft=draft, label=label)


def _state_document(draft: Draft) -> None:
    """Documents are `internal` unless something is stated; here something else is what raises them."""
    for document in draft.body["documents"] if isinstance(draft.body.get("documents"), list) else ():
        document["sensitivity"] = LABEL_OF_TWINS


def _secret(cell: Cell) -> str:
    kinds = SECRETS if SURFACES[cell.surface].positions[cell.position].plain else SHORT_SECRETS
    return sorted(kinds)[sum(map(ord, str(cell))) % len(kinds)]


# Playing


async def _play(runs: Sequence[tuple[Run, Run]], *, failure: str, stage: Stage, times: int) -> None:
    both = [run for pair in runs for run in pair]
    stage.forget()
    await gather([stage.store(run.draft) for run in both])
    await gather([stage.begin(run.draft) for run in both])
    async with FAILURES[failure].trouble(stage):
        for _ in range(times):
            await gather([_send(run, stage=stage) for run in both], at_once=16)


async def _send(run: Run, *, stage: Stage) -> None:
    draft = replace(run.draft, body=dict(run.draft.body))
    run.replies.append(await stage.send(draft, surface=SURFACES[run.cell.surface]))


# Judging


async def _inspect(runs: Sequence[tuple[Run, Run]], *, stage: Stage, configuration: Configuration) -> list[Verdict]:
    sent, traces = stage.sent(), await stage.traces()
    stored = {"Redis": await stage.redis.contents()} if stage.redis else {}
    verdicts = []
    for run, twin in runs:
        leaks = (
            *_found(_secret_words(run, configuration), within={**sent, **stored}),
            *_found(_all_words(run), within=traces),
            *_found(_all_words(twin), within=traces),
        )
        faults = _faults(run, twin, sent=sent, configuration=configuration)
        verdicts.append(Verdict(cell=run.cell, leaks=leaks, faults=tuple(faults)))
    return verdicts


def _all_words(run: Run) -> dict[str, str]:
    return {"canary": run.words.canary, "carrier": run.words.carrier}


def _secret_words(run: Run, configuration: Configuration) -> dict[str, str]:
    """The words that may reach no cloud model.

    The question itself may where only a document that it never met has a label, and what stands beside a value that was
    redacted may as well.
    """
    words = _all_words(run)
    unmet = configuration.embedder is not None and run.cell.position == "passage"
    if unmet or (configuration.redacts and ORIGINS[run.cell.origin].detected):
        del words["carrier"]
    return words


def _found(words: Mapping[str, str], *, within: Mapping[str, bytes]) -> list[str]:
    return [
        f"the {name} as {form} in {place}"
        for name, word in words.items()
        for place, content in within.items()
        for form in find_canary(word, within=content)
    ]


def _faults(run: Run, twin: Run, *, sent: Mapping[str, bytes], configuration: Configuration) -> list[str]:
    surface, cell = SURFACES[run.cell.surface], run.cell
    if surface.kind == "explain":
        return ["the twin was sent somewhere"] if _reached(twin.words.carrier, sent) else []
    faults = []
    if not _reached(twin.words.carrier, sent):
        faults.append(f"the twin did not reach the cloud ({_statuses(twin)})")
    elif surface.positions[cell.position].sent and not configuration.lossy and not _reached(twin.words.canary, sent):
        faults.append(f"the twin's canary did not reach the cloud ({_statuses(twin)})")
    if _should_answer(cell, configuration) and any(reply.status != 200 for reply in run.replies):
        faults.append(f"no local model answered ({_statuses(run)})")
    return faults


def _should_answer(cell: Cell, configuration: Configuration) -> bool:
    """Whether the sensitive side is to be answered by a local model, instead of merely not being sent away."""
    surface = SURFACES[cell.surface]
    return (
        cell.failure == "none"
        and surface.kind == "chat"
        and configuration.answers_locally
        and surface.positions[cell.position].local
    )


def _reached(word: str, sent: Mapping[str, bytes]) -> bool:
    return any(find_canary(word, within=content) for content in sent.values())


def _statuses(run: Run) -> str:
    return ", ".join(f"{reply.status} {reply.error[:160].decode(errors='replace')}" for reply in run.replies)
