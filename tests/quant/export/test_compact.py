"""Compact models: short names, and no change to what is computed."""

import numpy as np
import onnx_ir as ir

from quant.export.compact import MAX_SHARED_SIZE, compact
from quant.runtime import Session
from tests.quant.export.models import normal
from tests.quant.onnx_text import model_of

TEXT = """net (float[N, 4] a) => (float[N, 4] result) {
    first_long_name = MatMul (a, weight)
    second_long_name = Add (first_long_name, bias)
    third = Add (second_long_name, same)
    result = Mul (third, other)
}"""


def compacted(**arrays):
    model = model_of(TEXT, **arrays)
    before = ir.to_proto(model).SerializeToString()
    compact(model, {"matmul0"})
    return before, model


def test_names_get_short_and_the_outputs_stay():
    before, model = compacted(weight=normal(4, 4), bias=normal(4), same=normal(4), other=normal(4))
    after = ir.to_proto(model).SerializeToString()
    feeds = {"a": normal(3, 4)}
    np.testing.assert_array_equal(Session(after).run(feeds)[0], Session(before).run(feeds)[0])
    fixed = {"a", "result"}
    names = [value.name for node in model.graph for value in (*node.inputs, *node.outputs)]
    assert all(len(name) == 1 for name in names if name not in fixed)
    assert [node.name for node in model.graph if node.name] == ["matmul0"]


def test_equal_constants_are_stored_once_unless_they_are_large():
    bias = normal(4)
    _, model = compacted(weight=normal(4, 4), bias=bias, same=bias.copy(), other=normal(4))
    assert len(model.graph.initializers) == 3
    large = normal(MAX_SHARED_SIZE // 4 + 1, 4)
    _, model = compacted(weight=normal(4, 4), bias=large, same=large.copy(), other=normal(4))
    assert len(model.graph.initializers) == 4
