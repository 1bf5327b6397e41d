"""Every new name is free in all graphs of a model, and short."""

import onnx
import onnx_ir as ir
import pytest

from quant.graph.names import MAX_NAME, Names, shortened

NESTED = """<ir_version: 10, opset_import: ["": 21]>
    net (bool c, float[2] x) => (float[2] y) <float[2] w = {3, 4}> {
        [outer] a = Relu (x)
        y = If (c) <
            then_branch = t () => (float[2] tt) <float[2] v = {1, 2}> { [inner] tt = Add (a, v) },
            else_branch = e () => (float[2] ee) { z = Neg (a)  ee = Add (z, w) }
        >
    }"""
VALUES = ("c", "x", "y", "w", "a", "tt", "v", "z", "ee")


def test_long_names_are_shortened_and_stay_different():
    names = ["a" * 100 + end for end in ("x", "y")]
    short = [shortened(name) for name in names]
    assert short[0] != short[1]
    assert all(len(name) == MAX_NAME for name in short)
    assert shortened("b" * MAX_NAME) == "b" * MAX_NAME


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("serialized", [False, True])
def test_a_name_of_any_graph_is_taken(value, serialized):
    model = ir.from_onnx_text(NESTED)
    names = Names.of_proto(ir.to_proto(model).graph) if serialized else Names.of(model.graph)
    assert value in names
    assert [names.value(value), names.value(value)] == [f"{value}_1", f"{value}_2"]


@pytest.mark.parametrize("serialized", [False, True])
def test_nodes_have_names_of_their_own(serialized):
    model = ir.from_onnx_text(NESTED)
    names = Names.of_proto(ir.to_proto(model).graph) if serialized else Names.of(model.graph)
    assert [names.node(name) for name in ("inner", "outer", "a")] == ["inner_1", "outer_1", "a"]


def test_a_free_name_stays_as_it_is():
    names = Names.of_proto(onnx.GraphProto())
    assert [names.value("x"), names.value("x_1"), names.value("x")] == ["x", "x_1", "x_2"]
    assert names.any_starts_with("x_")
    assert not names.any_starts_with("y")
