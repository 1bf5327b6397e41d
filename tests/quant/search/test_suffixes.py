"""A suffix of a model computes what the whole model does, from the tensors at its cut."""

import numpy as np
import onnx
import pytest

from quant.runtime import Session
from quant.search.suffixes import cut_before, keep_suffix
from tests.quant.onnx_text import proto_of

TEXT = """net (float[N, 4] x, bool on) => (float[N, 4] early, float[N, 4] y) {
    early = Relu(x)
    a = MatMul(early, w)
    b = Add(a, x)
    c = If (on) <
        then_branch = rounded () => (float[N, 4] d) { d = Sub(a, b) },
        else_branch = plain () => (float[N, 4] e) { e = Identity(b) }
    >
    y = Add(c, early)
}"""
FEEDS = {"x": np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32), "on": np.array(True)}


@pytest.fixture
def model():
    """Return a model with two outputs and a body that reads tensors of the main graph."""
    return onnx.load_from_string(proto_of(TEXT, w=np.random.default_rng(2).normal(size=(4, 4))))


@pytest.mark.parametrize("start", range(5))
def test_a_suffix_computes_the_outputs_behind_its_cut(model, start):
    graph = model.graph
    tensors = list(dict.fromkeys(name for node in graph.node for name in node.output))
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in ("early", "y"))
    values = dict(zip(tensors, Session(observed.SerializeToString()).run(FEEDS, tensors), strict=True))
    cut = cut_before(graph, start)
    keep_suffix(model, cut, values)
    session = Session(model.SerializeToString())
    feeds = {value.name: {**FEEDS, **values}[value.name] for value in model.graph.input}
    outputs = dict(zip(session.outputs, session.run(feeds), strict=True))
    assert "y" in outputs
    assert ("early" in outputs) == (start == 0)
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, values[name])


def test_a_cut_has_the_tensors_that_later_nodes_and_their_bodies_read(model):
    assert cut_before(model.graph, 3).boundary == ("early", "a", "b")
    assert cut_before(model.graph, 0).boundary == ()
