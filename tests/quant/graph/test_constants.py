"""Constants are read only where no caller can override them; names of initializers are short and unique."""

import numpy as np
import onnx_ir as ir

from quant.graph.constants import MAX_NAME, add_initializer, constant, constant_tensor, shortened

GRAPH = """<ir_version: 10, opset_import: ["": 21]>
    net (float[2] x, float[2] d) => (float[2] y) <float[2] d = {1, 2}, float[2] w = {3, 4}> { y = Sum (x, d, w) }"""


def test_an_initializer_is_a_constant_unless_it_is_an_input_too():
    graph = ir.from_onnx_text(GRAPH).graph
    x, d, w = graph[0].inputs
    np.testing.assert_array_equal(constant(w), [3, 4])
    assert constant_tensor(w) is w.const_value
    assert constant(d) is constant_tensor(d) is None
    assert constant(x) is constant(None) is None


def test_a_name_that_is_taken_gets_a_number():
    graph = ir.from_onnx_text(GRAPH).graph
    names = [add_initializer(graph, "w", np.zeros(3, np.float32)).name for _ in range(2)]
    assert names == ["w_1", "w_2"]
    assert graph.initializers["w_1"].shape == (3,)


def test_long_names_are_shortened_and_stay_different():
    names = ["a" * 100 + end for end in ("x", "y")]
    short = [shortened(name) for name in names]
    assert short[0] != short[1]
    assert all(len(name) == MAX_NAME for name in short)
    assert shortened("b" * MAX_NAME) == "b" * MAX_NAME
