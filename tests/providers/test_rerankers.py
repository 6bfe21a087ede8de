"""The rerankers: a cross-encoder in a folder, and a cloud model through litellm."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import onnx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from onnx import TensorProto, helper

from app.errors import ConfigurationError, UpstreamError
from app.models import Dispatch, Label, Locality, Model
from app.protocols import RerankRequest
from app.providers.cross_encoder import GRAPH, TOKENIZER, CrossEncoder
from app.providers.litellm_adapter import LiteLLMReranker
from app.providers.minilm import files
from tests.providers.calls import open_egress

CLOUD = Model(provider="cohere", name="rerank-test", locality=Locality.CLOUD, clearance=Label.INTERNAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose logit is minus the number of real tokens: the shorter a text, the better."""
    shutil.copy(files.published_folder() / files.TOKENIZER, tmp_path / TOKENIZER)
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
        for name in ("input_ids", "attention_mask")
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1])
    nodes = [
        helper.make_node("ReduceSum", ["attention_mask", "axis"], ["count"], keepdims=1),
        helper.make_node("Cast", ["count"], ["length"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["length"], ["logits"]),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "length", [ids, mask], [logits], initializer=[axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / GRAPH)
    return tmp_path


async def test_a_cross_encoder_reads_question_and_text_together(folder: Path) -> None:
    reranker = CrossEncoder(folder)
    texts = tuple("word " * count for count in (3, 1, 20, 2, 9, 4, 5, 6, 7, 8))
    scores = await reranker.score(Dispatch(RerankRequest("q", texts), Label.CONFIDENTIAL, reranker.model))
    assert sorted(range(10), key=lambda number: -scores[number]) == [1, 3, 0, 5, 6, 7, 8, 9, 4, 2]
    assert all(0 <= score <= 1 for score in scores)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        CrossEncoder(tmp_path)


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, list[dict[str, object]]]]:
    """A server that speaks Cohere's rerank protocol, and what it was asked; the third question fails."""
    asked: list[dict[str, object]] = []

    async def rerank(request: web.Request) -> web.Response:
        asked.append(await request.json())
        if asked[-1]["query"] == "fail":
            return web.json_response({"message": "no"}, status=503)
        results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
        return web.json_response({"id": "1", "results": results, "meta": {}})

    app = web.Application()
    app.router.add_post("/{path:.*}", rerank)
    async with TestServer(app) as running:
        yield str(running.make_url("/v2/rerank")), asked


# Pydantic warns of one of litellm's types when litellm first uses it.
@pytest.mark.filterwarnings("ignore:Item 'summary' on TypedDict:UserWarning")
async def test_a_cloud_model_is_asked_once_and_its_scores_come_back_in_order(
    server: tuple[str, list[dict[str, object]]],
) -> None:
    url, asked = server
    async with open_egress() as egress:
        reranker = LiteLLMReranker(CLOUD, egress=egress, api_key="made-up", base_url=url)
        request = RerankRequest("q", ("a", "b", "c"))
        assert await reranker.score(Dispatch(request, Label.PUBLIC, CLOUD)) == [0.2, 0.9, 0.0]
        assert [(each["query"], each["documents"]) for each in asked] == [("q", ["a", "b", "c"])]
        with pytest.raises(UpstreamError):
            await reranker.score(Dispatch(RerankRequest("fail", ("a",)), Label.PUBLIC, CLOUD))
        assert len(asked) == 2
