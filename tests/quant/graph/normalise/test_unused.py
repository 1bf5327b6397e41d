"""Unused nodes and initializers are removed, in bodies too, and the nodes are sorted."""

from onnx import TensorProto, helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.unused import remove_unused
from tests.quant.graph.models import assert_same_outputs, model_of, random_tensor


def test_nodes_and_initializers_that_nobody_reads_are_removed():
    nodes = [
        helper.make_node("Add", ["x", "w"], ["y"]),
        helper.make_node("Mul", ["x", "v"], ["unused"]),
    ]
    data = model_of(nodes, [random_tensor(name, 6) for name in ("w", "v", "u")])
    model = load(data)
    remove_unused(model)
    assert [node.op_type for node in model.graph] == ["Add"]
    assert list(model.graph.initializers) == ["w"]
    assert_same_outputs(data, model, {"x": ["N", 6]})


def test_initializers_of_bodies_are_removed_too():
    def body(name):
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        node = helper.make_node("Add", ["x", f"{name}w"], [name])
        return helper.make_graph([node], name, [], [output], [random_tensor(f"{name}{end}", 6) for end in "wv"])

    inputs = {"x": ["N", 6], "c": (TensorProto.BOOL, [])}
    node = helper.make_node("If", ["c"], ["y"], then_branch=body("a"), else_branch=body("b"))
    model = load(model_of([node], inputs=inputs))
    remove_unused(model)
    assert sorted(list(graph.initializers) for graph in model.graph.subgraphs()) == [["aw"], ["bw"]]
