"""Clip: bounds become scalars, and a Clip without bounds disappears."""

import numpy as np
import pytest
from onnx import helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.clip import simplify_clip
from tests.quant.graph.models import assert_same_outputs, model_of, tensor


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("names", [["low", "high"], ["low"], ["", "high"]])
def test_bounds_of_one_element_become_scalars(names, shape):
    arrays = [tensor(name, np.full(shape, bound, np.float32)) for name, bound in (("low", -0.5), ("high", 0.4))]
    data = model_of([helper.make_node("Clip", ["x", *names], ["y"])], arrays)
    model = load(data)
    simplify_clip(model)
    (clip,) = model.graph
    assert [value.shape.numpy() for value in clip.inputs[1:] if value is not None] == [()] * len(
        list(filter(None, names))
    )
    assert_same_outputs(data, model, {"x": ["N", 6]})


@pytest.mark.parametrize(("output", "left"), [("h", ["Neg"]), ("y", ["Clip"])])
def test_a_clip_without_bounds_disappears_unless_it_makes_an_output(output, left):
    nodes = [helper.make_node("Clip", ["x"], [output])]
    nodes += [helper.make_node("Neg", ["h"], ["y"])] if output == "h" else []
    data = model_of(nodes, [])
    model = load(data)
    simplify_clip(model)
    assert [node.op_type for node in model.graph] == left
    assert_same_outputs(data, model, {"x": ["N", 6]})
