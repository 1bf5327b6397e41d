"""A graph without its large weights computes with them what the model computes."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.graph.constants import add_initializer
from quant.graph.names import Names
from quant.graph.weightless import MIN_SIZE, give_weights_back, weightless
from quant.runtime import Session

SAMPLES = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)


@pytest.fixture
def model():
    """A product with a large weight and a small bias, and a large weight that nothing uses."""
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 21]>
        net (float[N, 40] x) => (float[N, 30] y) { p = MatMul (x, w)  y = Add (p, b) }""")
    rng = np.random.default_rng(1)
    for name, shape in {"w": (40, 30), "b": (30,), "unused": (40, 30)}.items():
        value = add_initializer(
            model.graph, f"{name}_new", rng.normal(size=shape).astype(np.float32), Names.of(model.graph)
        )
        for node in model.graph:
            for index, operand in enumerate(node.inputs):
                if operand is not None and operand.name == name:
                    node.replace_input_with(index, value)
    return model


def test_only_large_weights_that_are_used_are_left_out(model):
    graph = weightless(model)
    assert list(graph.weights) == ["w_new"]
    assert graph.arrays["w_new"].size >= MIN_SIZE
    assert graph.proto.ByteSize() < model.graph.initializers["w_new"].const_value.nbytes + 2000  # the unused one alone
    assert all(isinstance(value.const_value, ir.Tensor) for value in model.graph.initializers.values())


def test_a_session_computes_with_them(model):
    graph = weightless(model)
    found = Session(graph.proto.SerializeToString(), weights=graph.arrays).run({"x": SAMPLES})[0]
    w, b = (model.graph.initializers[f"{name}_new"].const_value.numpy() for name in ("w", "b"))
    np.testing.assert_allclose(found, SAMPLES @ w + b, rtol=1e-5, atol=1e-6)


def test_they_are_given_back(model):
    other = ir.from_proto(weightless(model).proto)
    give_weights_back(other, model)
    assert other.graph.initializers["w_new"].const_value is model.graph.initializers["w_new"].const_value
