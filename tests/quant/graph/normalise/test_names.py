"""Every node gets a unique name, and long names of intermediate values are shortened."""

from onnx import helper

from quant.graph.load.onnx_file import load
from quant.graph.names import MAX_NAME
from quant.graph.normalise.names import name_nodes
from tests.quant.graph.models import assert_same_outputs, model_of


def named(nodes):
    data = model_of(nodes)
    model = load(data)
    name_nodes(model)
    assert_same_outputs(data, model, {"x": ["N", 6]})
    return model


def test_nodes_without_names_are_named_by_operator_and_position():
    model = named([helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Neg", ["h"], ["y"])])
    assert [node.name for node in model.graph] == ["Relu_0", "Neg_1"]


def test_a_name_that_is_taken_gets_a_number():
    nodes = [helper.make_node("Relu", [source], [target], name="n") for source, target in ("xh", "hk", "ky")]
    model = load(model_of(nodes))
    name_nodes(model)
    assert [node.name for node in model.graph] == ["n", "n_1", "n_2"]


def test_long_names_are_shortened_but_those_of_outputs():
    long = "h" * 200
    model = named([helper.make_node("Relu", ["x"], [long]), helper.make_node("Neg", [long], ["y"])])
    lengths = [len(node.outputs[0].name) for node in model.graph]
    assert lengths == [MAX_NAME, 1]
