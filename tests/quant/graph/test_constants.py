"""Constants are read only where no caller can override them; names of initializers are short and free."""

import numpy as np
import onnx_ir as ir

from quant.graph.constants import add_initializer, constant, constant_tensor
from quant.graph.names import MAX_NAME, Names

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
    taken = Names.of(graph)
    names = [add_initializer(graph, "w", np.zeros(3, np.float32), taken).name for _ in range(2)]
    assert names == ["w_1", "w_2"]
    assert graph.initializers["w_1"].shape == (3,)


def test_the_name_of_an_initializer_is_shortened():
    graph = ir.from_onnx_text(GRAPH).graph
    assert len(str(add_initializer(graph, "w" * 100, np.zeros(3, np.float32), Names.of(graph)).name)) == MAX_NAME
