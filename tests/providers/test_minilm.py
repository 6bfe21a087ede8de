from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import ConfigurationError, ShuttingDownError
from app.providers.minilm import files
from app.providers.minilm.build import build
from app.providers.minilm.engine import MiniLM
from app.providers.minilm.files import WINDOW
from app.providers.minilm.lanes import Lanes
from app.providers.minilm.tokens import FRAME, REACHES, Ids, Vocabulary

Rows = NDArray[np.float32]


@pytest.fixture(scope="module")
def engine() -> Iterator[MiniLM]:
    engine = MiniLM.load()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(files.published_folder() / files.TOKENIZER)


# The published model


async def test_the_graph_gives_the_similarities_that_the_models_authors_publish(engine: MiniLM) -> None:
    # https://sbert.net/docs/sentence_transformer/usage/semantic_textual_similarity.html
    rows = await engine.embed(["The new movie is awesome", "The cat sits outside", "A man is playing guitar"])
    columns = await engine.embed(["The dog plays in the garden", "The new movie is so great", "A woman watches TV"])
    published = [[0.0543, 0.8939, -0.0502], [0.2838, -0.0029, 0.1310], [0.2277, -0.0136, -0.0327]]
    assert np.abs(rows @ columns.T - published).max() < 1e-4


async def test_a_text_has_the_same_vector_alone_and_packed_with_others(engine: MiniLM) -> None:
    texts = ["short", "", "a sentence of some more words", "word " * 300, "short"]
    together = await engine.embed(texts)
    alone = np.concatenate([await engine.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


async def test_vectors_are_rows_of_384_single_floats_of_length_one(engine: MiniLM) -> None:
    vectors = await engine.embed(["one", "two", "three"], bulk=True)
    assert vectors.shape == (3, engine.dimensions)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


async def test_no_texts_give_no_rows(engine: MiniLM) -> None:
    assert (await engine.embed([])).shape == (0, 384)


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "\N{GRINNING FACE}", "\ud800", "a\udfffb", "\u202e\u0301", "x" * 10**6]
)
async def test_every_string_has_a_vector_of_length_one(engine: MiniLM, text: str) -> None:
    assert np.linalg.norm(await engine.embed([text])) == pytest.approx(1, abs=1e-5)


async def test_what_lies_beyond_the_window_does_not_reach_the_vector(engine: MiniLM) -> None:
    start = "word " * (engine.max_tokens - FRAME)
    same, longer, shorter = await engine.embed([start, start + "beyond " * 150_000, "word " * 10 + "within"])
    assert float(same @ longer) == pytest.approx(1, abs=1e-5)
    assert float(same @ shorter) < 0.99


async def test_the_event_loop_turns_while_a_text_is_embedded(engine: MiniLM) -> None:
    turns = 0
    embedding = asyncio.ensure_future(engine.embed(["word " * 300] * 4, bulk=True))
    while not embedding.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100


def test_the_fingerprint_names_weights_graph_and_precision(engine: MiniLM) -> None:
    assert engine.fingerprint == "all-MiniLM-L6-v2:53aa51172d142c89:graph-1:fp32"


async def test_a_closed_engine_refuses_further_texts_and_may_be_closed_again() -> None:
    engine = MiniLM.load()
    engine.close()
    engine.close()
    with pytest.raises(ShuttingDownError):
        await engine.embed(["late"])


# Tokens


FRAGMENTS = [
    "word",
    " ",
    "\n",
    "antidisestablishmentarianism",
    "\u6f22\u5b57",
    "\N{GRINNING FACE}",
    "a\u0301",
    "x" * 150,
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=400), st.integers(1, 12))
def test_the_window_is_the_start_of_the_whole_texts_tokens(
    vocabulary: Vocabulary, pieces: list[str], repeats: int
) -> None:
    text = "".join(pieces) * repeats
    whole = vocabulary._encode(text).ids
    assert vocabulary.window(text)[1:-1].tolist() == whole[: WINDOW - FRAME]


def test_a_word_that_the_first_look_cuts_through_keeps_its_pieces(vocabulary: Vocabulary) -> None:
    before = "a " * (WINDOW - FRAME - 1)
    text = " " * (REACHES[0] - len("ex") - len(before)) + before + "experimentally " * 200
    assert vocabulary.window(text)[-2] == vocabulary._encode("experimentally").ids[0]


def test_offsets_are_the_places_of_the_tokens_in_characters(engine: MiniLM) -> None:
    text = "\N{GRINNING FACE} na\u00efve unbelievability \ud800end"
    pieces = [text[start:end] for start, end in engine.token_offsets(text)]
    assert pieces == ["\N{GRINNING FACE}", "na\u00efve", "un", "bel", "ie", "va", "bility", "end"]


@pytest.mark.parametrize("text", ["", "one two three", "word " * 5_000])
def test_the_count_is_of_all_tokens_and_the_two_that_frame_them(engine: MiniLM, text: str) -> None:
    assert engine.count_tokens(text) == len(engine.token_offsets(text)) + 2


# Files


def test_a_missing_package_is_reported_with_the_way_to_install_it() -> None:
    with pytest.raises(ConfigurationError, match="make install"):
        files.published_folder("a-distribution-that-is-not-installed")


def test_files_that_are_not_the_official_ones_are_refused_and_nothing_is_built(tmp_path: Path) -> None:
    (tmp_path / files.WEIGHTS).write_bytes(b"not the weights")
    target = tmp_path / "built"
    with pytest.raises(ConfigurationError, match="Reinstall"):
        build(source=tmp_path, target=target)
    assert not target.exists()


def test_the_published_files_are_the_official_ones() -> None:
    folder = files.published_folder()
    files.verify(folder)
    digest = hashlib.sha256((folder / files.TOKENIZER).read_bytes()).hexdigest()
    assert digest == files.TOKENIZER_SHA256


def test_builders_at_the_same_time_leave_one_complete_folder_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "share" / "graph"
    start = threading.Barrier(2)

    def race() -> None:
        start.wait()
        build(source=files.published_folder(), target=target)

    with ThreadPoolExecutor(2) as builders:
        for builder in [builders.submit(race) for _ in range(2)]:
            builder.result()
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]
    assert {file.name for file in target.iterdir()} == {files.GRAPH, files.TOKENIZER, "weights.bin"}


def test_a_folder_that_cannot_be_written_is_reported_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="make install"):
        build(source=files.published_folder(), target=tmp_path / "file" / "graph")


def test_tensors_are_read_by_name_from_a_safetensors_file(tmp_path: Path) -> None:
    values = np.array([[1, 2], [3, 4]], dtype="<f4")
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "places": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
            "matrix": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]},
        }
    ).encode()
    path = tmp_path / "small.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8) + values.tobytes())
    tensors = files.read_tensors(path)
    assert list(tensors) == ["matrix"]
    assert tensors["matrix"].tolist() == values.tolist()


# Lanes: a scripted model whose runs wait to be let go, with a text's length as its one dimension.


class ScriptedModel:
    """Notes what each run holds and, while `gate` is shut, keeps it from ending."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()

    def encode(self, text: str) -> Ids:
        return np.full(len(text), ord(text[0]), dtype=np.int64)

    def run(self, texts: Sequence[Ids]) -> Rows:
        self.runs.append([int(ids[0]) for ids in texts])
        self.begun.release()
        assert self.gate.wait(timeout=10)
        if ord("!") in self.runs[-1]:
            raise RuntimeError
        return np.array([[len(ids)] for ids in texts], dtype=np.float32)

    @property
    def order(self) -> str:
        """The first letters of the texts, run by run."""
        return " ".join("".join(map(chr, run)) for run in self.runs)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


Open = Callable[[int], Lanes]


@pytest.fixture
def open_lanes(model: ScriptedModel) -> Iterator[Open]:
    opened: list[Lanes] = []

    def open_with(threads: int) -> Lanes:
        opened.append(Lanes(model.run, encode=model.encode, dimensions=1, enough=4, threads=threads))
        return opened[-1]

    yield open_with
    model.gate.set()
    for lanes in opened:
        lanes.close()


def test_an_interactive_text_waits_for_no_bulk_texts(model: ScriptedModel, open_lanes: Open) -> None:
    lanes = open_lanes(1)
    lanes.submit(["aaaa", "bbbb"], bulk=True)
    lanes.submit(["cccc"], bulk=True)
    assert model.begun.acquire(timeout=10)
    lanes.submit(["qq"], bulk=False)
    assert model.begun.acquire(timeout=10)
    assert model.order == "a q"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_bulk_texts_are_embedded_at_a_lower_priority_than_interactive_ones() -> None:
    def run(texts: Sequence[Ids]) -> Rows:
        return np.full((len(texts), 1), os.getpriority(os.PRIO_PROCESS, 0), dtype=np.float32)

    lanes = Lanes(run, encode=lambda text: np.array([len(text)]), dimensions=1, enough=4, threads=1)
    bulk, query = lanes.submit(["document"], bulk=True), lanes.submit(["query"], bulk=False)
    assert bulk.result(10) > query.result(10) == os.getpriority(os.PRIO_PROCESS, 0)
    lanes.close()


def test_jobs_in_one_lane_take_turns(model: ScriptedModel, open_lanes: Open) -> None:
    lanes = open_lanes(1)
    lanes.submit(["xxxx"], bulk=True)
    assert model.begun.acquire(timeout=10)
    jobs = [lanes.submit(["aaaa", "bbbb", "cccc"], bulk=True), lanes.submit(["dddd"], bulk=True)]
    model.gate.set()
    for job in jobs:
        job.result(10)
    assert model.order == "x a d b c"


def test_a_run_takes_waiting_texts_of_all_callers_until_it_has_enough(model: ScriptedModel, open_lanes: Open) -> None:
    lanes = open_lanes(1)
    lanes.submit(["xxxx"], bulk=False)
    assert model.begun.acquire(timeout=10)
    jobs = [lanes.submit([letter * 2], bulk=False) for letter in "abc"]
    model.gate.set()
    assert [job.result(10).tolist() for job in jobs] == [[[2]]] * 3
    assert model.order == "x ab c"


def test_texts_of_a_caller_who_left_are_dropped(model: ScriptedModel, open_lanes: Open) -> None:
    lanes = open_lanes(1)
    gone = lanes.submit(["aaaa", "bbbb", "cccc"], bulk=True)
    assert model.begun.acquire(timeout=10)
    assert gone.cancel()
    stays = lanes.submit(["dddd"], bulk=True)
    model.gate.set()
    stays.result(10)
    assert model.order == "a d"


def test_a_failed_run_fails_its_callers_and_no_others(model: ScriptedModel, open_lanes: Open) -> None:
    model.gate.set()
    lanes = open_lanes(1)
    with pytest.raises(RuntimeError):
        lanes.submit(["!!!!", "aaaa"], bulk=True).result(10)
    assert lanes.submit(["bbbb"], bulk=True).result(10).tolist() == [[4]]
    assert model.order == "! b"


def test_a_text_that_cannot_be_encoded_fails_its_caller(model: ScriptedModel, open_lanes: Open) -> None:
    lanes = open_lanes(1)
    with pytest.raises(IndexError):
        lanes.submit([""], bulk=False).result(10)


def test_closing_ends_the_run_under_way_and_fails_what_waits(model: ScriptedModel, open_lanes: Open) -> None:
    lanes = open_lanes(1)
    running = lanes.submit(["aaaa"], bulk=True)
    assert model.begun.acquire(timeout=10)
    waiting = lanes.submit(["bbbb"], bulk=True)
    failed: Future[None] = Future()
    waiting.add_done_callback(lambda _: failed.set_result(None))
    with ThreadPoolExecutor(1) as closer:
        closing = closer.submit(lanes.close)
        failed.result(10)
        model.gate.set()
        closing.result(10)
    assert running.result(10).tolist() == [[4]]
    with pytest.raises(ShuttingDownError):
        waiting.result(10)
    with pytest.raises(ShuttingDownError):
        lanes.submit(["cccc"], bulk=True)
    assert model.order == "a"
