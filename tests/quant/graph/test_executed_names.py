"""Names under which ONNX Runtime executes layers, against its profiler."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.evaluation.layer_times import layer_of
from quant.graph.executed_names import executed_names
from quant.runtime import Session
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)


def test_names_of_node_weight_and_outputs_belong_to_the_layer():
    text = "net (float[n, 4] x) => (float[n, 4] y) {h = MatMul(x, w) r = Relu(h) y = Softmax(r)}"
    names = executed_names(model_of(text, w=RNG.normal(size=(4, 4))))
    layer = ("matmul0", "MatMul")
    assert {name for name, owner in names.items() if owner == layer} == {"matmul0", "w", "h", "r", "y"}
    assert names["relu1"] == names["softmax2"] == ("", "")


def test_an_output_belongs_to_the_closest_layer():
    text = "net (float[n, 4] x) => (float[n, 4] y) {h = MatMul(x, v) y = MatMul(h, w)}"
    names = executed_names(model_of(text, v=RNG.normal(size=(4, 4)), w=RNG.normal(size=(4, 4))))
    assert (names["h"][0], names["y"][0]) == ("matmul0", "matmul1")


def test_an_output_with_two_readers_ends_the_layer():
    text = "net (float[n, 4] x) => (float[n, 4] y) {h = MatMul(x, w) a = Relu(h) b = Neg(h) y = Add(a, b)}"
    assert "a" not in executed_names(model_of(text, w=RNG.normal(size=(4, 4))))


CHAINS = {
    "convolution": ("c = Conv(x, w) y = Relu(c)", (16, 8, 3, 3), (1, 8, 12, 12)),
    "added": ("c = Conv(x, w) d = Sigmoid(x) s = Add(c, d) y = Relu(s)", (8, 8, 1, 1), (1, 8, 12, 12)),
    "volume": ("c = Conv(x, w) y = Relu(c)", (4, 2, 3, 3, 3), (1, 2, 6, 6, 6)),
    "depthwise": ("y = Conv<group = 8>(x, w)", (8, 1, 5, 5), (1, 8, 12, 12)),
    "product": ("h = MatMul(x, w) y = Add(h, b)", (8, 6), (3, 8)),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_the_executed_node_of_a_float_layer_is_recognised(kind, tmp_path):
    body, weight, shape = CHAINS[kind]
    sizes = ",".join(["n"] * len(shape)) if kind != "product" else "n,m"
    text = f"net (float[{','.join(map(str, shape))}] x) => (float[{sizes}] y) {{{body}}}"
    model = model_of(text, w=RNG.normal(size=weight), b=np.zeros(weight[-1]))
    session = Session(ir.to_proto(model).SerializeToString(), profile=tmp_path / "profile")
    session.run({"x": RNG.normal(size=shape).astype(np.float32)})
    names = executed_names(model)
    layers = {layer_of(node.name, names) for node in session.node_times()}
    assert {name for name, _ in names.values()} - {""} <= layers
