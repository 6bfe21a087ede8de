"""BERT as all-MiniLM-L6-v2 has it, with mean pooling and normalisation, written out as an ONNX graph.

The architecture is that of Devlin et al. 2019 (https://arxiv.org/abs/1810.04805) with the sizes of the model's
`config.json`; pooling and normalisation are those of its `modules.json`.

Texts are packed end to end instead of padded to one length: every matrix product runs over exactly the tokens there
are, and a mask keeps attention inside each text (Krell et al. 2021, https://arxiv.org/abs/2107.02027).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

LAYERS = 6
HEADS = 12
HIDDEN = 384
HEAD = HIDDEN // HEADS
EPSILON = 1e-12
OPSET = 20
# The version of the ONNX file format that came with opset 20, so that older runtimes can read it too.
IR_VERSION = 9

Weights = Mapping[str, NDArray[np.float32]]


def build(weights: Weights) -> ModelProto:
    """The graph over `weights`, named as in the published file.

    Inputs, for `tokens` in `texts` (the two symbolic sizes): `ids`, `positions` (of a token in its text) and `segments`
    (the number of its text), each int64 of shape (tokens); `pooling`, float32 of shape (texts, tokens), which holds
    1 / length where the token belongs to the text and 0 elsewhere. Output: `embeddings`, float32 of shape (texts, 384),
    each row of length 1.
    """
    graph = _Graph(weights)
    hidden = _embeddings(graph)
    mask = _mask(graph)
    for layer in range(LAYERS):
        hidden = _layer(graph, hidden, mask=mask, prefix=f"encoder.layer.{layer}")
    graph.apply("LpNormalization", graph.apply("MatMul", "pooling", hidden), output="embeddings", axis=-1, p=2)
    return graph.model()


def _embeddings(graph: _Graph) -> str:
    words = graph.apply("Gather", graph.weight("embeddings.word_embeddings.weight"), "ids")
    places = graph.apply("Gather", graph.weight("embeddings.position_embeddings.weight"), "positions")
    # A text on its own is always of type 0.
    kind = graph.constant("type", graph.weights["embeddings.token_type_embeddings.weight"][0])
    total = graph.apply("Add", graph.apply("Add", words, kind), places)
    return _normalise(graph, total, prefix="embeddings.LayerNorm")


def _mask(graph: _Graph) -> str:
    """What is added to the attention scores: 0 between tokens of one text, minus infinity between texts."""
    rows = graph.apply("Unsqueeze", "segments", graph.constant("row", np.array([1])))
    columns = graph.apply("Unsqueeze", "segments", graph.constant("column", np.array([0])))
    inside = graph.constant("inside", np.array(0, dtype=np.float32))
    outside = graph.constant("outside", np.array(-np.inf, dtype=np.float32))
    return graph.apply("Where", graph.apply("Equal", rows, columns), inside, outside)


def _layer(graph: _Graph, hidden: str, *, mask: str, prefix: str) -> str:
    context = _attention(graph, hidden, mask=mask, prefix=f"{prefix}.attention.self")
    projected = _dense(graph, context, prefix=f"{prefix}.attention.output.dense")
    attended = _normalise(graph, graph.apply("Add", projected, hidden), prefix=f"{prefix}.attention.output.LayerNorm")
    inner = graph.apply("Gelu", _dense(graph, attended, prefix=f"{prefix}.intermediate.dense"))
    outer = _dense(graph, inner, prefix=f"{prefix}.output.dense")
    return _normalise(graph, graph.apply("Add", outer, attended), prefix=f"{prefix}.output.LayerNorm")


def _attention(graph: _Graph, hidden: str, *, mask: str, prefix: str) -> str:
    """Softmax(Q K^T / sqrt(head size) + mask) V for all heads at once, shape (tokens, hidden) in and out."""
    queries = _heads(graph, _dense(graph, hidden, prefix=f"{prefix}.query"), order=(1, 0, 2))
    keys = _heads(graph, _dense(graph, hidden, prefix=f"{prefix}.key"), order=(1, 2, 0))
    values = _heads(graph, _dense(graph, hidden, prefix=f"{prefix}.value"), order=(1, 0, 2))
    scale = graph.constant("scale", np.array(1 / math.sqrt(HEAD), dtype=np.float32))
    scores = graph.apply("MatMul", graph.apply("Mul", queries, scale), keys)
    shares = graph.apply("Softmax", graph.apply("Add", scores, mask), axis=-1)
    context = graph.apply("Transpose", graph.apply("MatMul", shares, values), perm=(1, 0, 2))
    return graph.apply("Reshape", context, graph.constant("joined", np.array([-1, HIDDEN])))


def _heads(graph: _Graph, projected: str, *, order: tuple[int, int, int]) -> str:
    """Split (tokens, hidden) into (tokens, heads, head size), then put those axes into `order`."""
    split = graph.apply("Reshape", projected, graph.constant("split", np.array([-1, HEADS, HEAD])))
    return graph.apply("Transpose", split, perm=order)


def _dense(graph: _Graph, hidden: str, *, prefix: str) -> str:
    # The published matrices are (out, in), which is what `transB` expects.
    return graph.apply("Gemm", hidden, graph.weight(f"{prefix}.weight"), graph.weight(f"{prefix}.bias"), transB=1)


def _normalise(graph: _Graph, hidden: str, *, prefix: str) -> str:
    scale, bias = graph.weight(f"{prefix}.weight"), graph.weight(f"{prefix}.bias")
    return graph.apply("LayerNormalization", hidden, scale, bias, axis=-1, epsilon=EPSILON)


class _Graph:
    """A graph as it grows: nodes in order of computation, and the tensors they use."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._nodes: list[NodeProto] = []
        self._tensors: dict[str, TensorProto] = {}

    def apply(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name: str) -> str:
        """The name of a published tensor, which is added at its first use."""
        return self.constant(name, self.weights[name])

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def model(self) -> ModelProto:
        integer, real = TensorProto.INT64, TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info(name, integer, ["tokens"]) for name in ("ids", "positions", "segments")]
        inputs.append(helper.make_tensor_value_info("pooling", real, ["texts", "tokens"]))
        outputs = [helper.make_tensor_value_info("embeddings", real, ["texts", HIDDEN])]
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, outputs, list(self._tensors.values()))
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opset, producer_name="sluice")
        checker.check_model(model)
        return model
