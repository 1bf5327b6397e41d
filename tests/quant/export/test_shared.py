"""Constants of the main graph and of bodies are stored once."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.export.shared import MIN_BYTES, share_constants
from quant.runtime import Session
from tests.quant.export.exported import exported
from tests.quant.graph.models import run

SIZE = MIN_BYTES // 4
LARGE, OTHER, SMALL = np.arange(SIZE, dtype=np.float32), np.ones(SIZE, np.float32), np.ones(1, np.float32)


def model(main, then, other):
    """A model with constants in its main graph and in both bodies of an If."""
    text = """<ir_version: 10, opset_import: ["": 21]>
        net (bool c, float[N] x) => (float[N] y) {
            a = Add (x, m)
            y = If (c) <then_branch = t () => (float[N] p) { p = Mul (a, w) },
                        else_branch = e () => (float[N] q) { q = Sub (a, v) }>
        }"""
    net = ir.from_onnx_text(text)
    branches = [net.graph[1].attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    for graph, node, name, array in zip(
        (net.graph, *branches), (net.graph[0], *(branch[0] for branch in branches)), ("m", "w", "w"),
        (main, then, other), strict=True,
    ):  # fmt: skip
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(array.shape)
        graph.register_initializer(value)
        node.replace_input_with(1, value)
    return net


def constants(net):
    return [len(graph.initializers) for graph in (net.graph, *net.graph.subgraphs())]


@pytest.mark.parametrize(("arrays", "expected"), [
    ((LARGE, LARGE, LARGE), [1, 0, 0]),
    ((OTHER, LARGE, LARGE), [2, 0, 0]),
    ((LARGE, LARGE, OTHER), [1, 0, 1]),
    ((LARGE, OTHER, SMALL), [1, 1, 1]),
    ((SMALL, SMALL, SMALL), [1, 1, 1]),
], ids=["all", "both bodies", "one body", "none", "too small"])  # fmt: skip
@pytest.mark.parametrize("condition", [True, False])
def test_equal_constants_are_stored_in_the_main_graph(arrays, expected, condition):
    before, after = model(*arrays), model(*arrays)
    share_constants(after)
    assert constants(after) == expected
    feeds = {"c": np.array(condition), "x": np.linspace(0, 1, SIZE, dtype=np.float32)}
    np.testing.assert_array_equal(run(after, feeds)[0], run(before, feeds)[0])


def test_codes_that_a_body_dequantizes_stay_in_the_body():
    text = (
        "net (bool c, float[2, 32] x) => (float[2, 32] y) { h = MatMul (x, w) y = If (c) <then_branch = t () => "
        "(float[2, 32] a) { a = MatMul (h, w) }, else_branch = e () => (float[2, 32] b) { b = Neg (h) }> }"
    )
    data = exported(text, {"export": {"profile": "generic"}}, w=np.random.default_rng(0).normal(size=(32, 32)))
    feeds = {"c": np.array(True), "x": np.ones((2, 32), np.float32)}
    assert np.isfinite(Session(data).run(feeds)[0]).all()
