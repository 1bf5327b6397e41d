"""Normalising keeps the outputs and gives the form that the rest of quant works on."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.errors import (
    MissingExternalData,
    UnreadableModel,
    UnsupportedFormat,
    UnsupportedOperator,
    UnsupportedOpset,
)
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.runtime import Session

RNG = np.random.default_rng(0)


def tensor(name, *shape, positive=False):
    values = RNG.normal(size=shape).astype(np.float32)
    return numpy_helper.from_array(np.abs(values) + 0.5 if positive else values, name)


def model_bytes(nodes, initializers, inputs, opset=17, outputs=("y",), domain=None):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def batchnorm(source, target, channels):
    names = [f"{target}_{part}" for part in ("scale", "bias", "mean", "variance")]
    node = helper.make_node("BatchNormalization", [source, *names], [target], epsilon=1e-3)
    return node, [tensor(name, channels, positive=name.endswith("variance")) for name in names]


def layer_nodes(op, group=1, bias=False, trans_b=0):
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    if op == "Gemm":
        weight = tensor("w", 5, 6) if trans_b else tensor("w", 6, 5)
        node, shape, channels = helper.make_node("Gemm", inputs, ["h"], transB=trans_b), ["N", 6], 5
    elif op == "Conv":
        weight, channels = tensor("w", 4, 6 // group, 3, 3), 4
        node, shape = helper.make_node("Conv", inputs, ["h"], group=group, name="conv"), ["N", 6, 8, 8]
    else:
        weight, channels = tensor("w", 6, 4 // group, 3, 3), 4
        node, shape = helper.make_node("ConvTranspose", inputs, ["h"], group=group), ["N", 6, 8, 8]
    return node, [weight, *([tensor("b", channels)] if bias else [])], shape, channels


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("Conv", {}),
        ("Conv", {"group": 2}),
        ("ConvTranspose", {}),
        ("ConvTranspose", {"group": 2}),
        ("Gemm", {}),
        ("Gemm", {"trans_b": 1}),
    ],
)
def test_batchnorm_is_folded_into_the_layer_before_with_equal_outputs(op, options, bias):
    node, initializers, shape, channels = layer_nodes(op, bias=bias, **options)
    norm, statistics = batchnorm("h", "y", channels)
    data = model_bytes([node, norm], initializers + statistics, {"x": shape})
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == [op]
    assert_same_outputs(data, model, {"x": shape})


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("op", "options"), [("Conv", {}), ("Conv", {"group": 2}), ("Gemm", {}), ("Gemm", {"trans_b": 1})]
)
def test_batchnorm_without_a_layer_before_is_folded_into_the_one_after(op, options, bias):
    node, initializers, shape, _ = layer_nodes(op, bias=bias, **options)
    norm, statistics = batchnorm("x", "n", 6)
    node.input[0], node.output[0] = "n", "y"
    data = model_bytes([norm, node], initializers + statistics, {"x": shape})
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == [op]
    assert_same_outputs(data, model, {"x": shape})


def test_batchnorm_before_a_layer_with_borders_stays():
    """Borders are zeros behind the norm: no constant before it makes them."""
    node, initializers, shape, _ = layer_nodes("Conv")
    norm, statistics = batchnorm("x", "n", 6)
    node.input[0], node.output[0] = "n", "y"
    node.attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
    data = model_bytes([norm, node], initializers + statistics, {"x": shape})
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == ["BatchNormalization", "Conv"]
    assert_same_outputs(data, model, {"x": shape})


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", ["one", "channels", "image"])
@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize(
    ("layer", "options"), [("Conv", {}), ("ConvTranspose", {"group": 2}), ("Gemm", {"trans_b": 1})]
)
def test_a_constant_a_channel_is_folded_into_the_layer_before(layer, options, op, shape, bias):
    node, initializers, size, channels = layer_nodes(layer, bias=bias, **options)
    spatial = () if layer == "Gemm" else (1, 1)
    dims = {"one": (), "channels": (channels, *spatial), "image": (1, channels, *spatial)}[shape]
    constant = helper.make_node(op, ["h", "k"] if bias else ["k", "h"], ["y"])
    data = model_bytes([node, constant], [*initializers, tensor("k", *dims)], {"x": size})
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == [layer]
    assert_same_outputs(data, model, {"x": size})


def test_a_constant_that_differs_along_the_image_stays():
    node, initializers, size, _ = layer_nodes("Conv")
    data = model_bytes(
        [node, helper.make_node("Add", ["h", "k"], ["y"])], [*initializers, tensor("k", 1, 1, 6)], {"x": size}
    )
    assert [n.op_type for n in normalise(load(data)).graph] == ["Conv", "Add"]


def test_batchnorm_stays_where_the_layer_has_another_consumer():
    node, initializers, shape, channels = layer_nodes("Conv")
    norm, statistics = batchnorm("h", "y", channels)
    data = model_bytes([node, norm], initializers + statistics, {"x": shape}, outputs=("y", "h"))
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == ["Conv", "BatchNormalization"]
    assert_same_outputs(data, model, {"x": shape})


def test_gemm_factors_are_folded_into_constants():
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0)
    data = model_bytes([node], [tensor("w", 6, 5), tensor("b", 5)], {"x": ["N", 6]})
    model = normalise(load(data))
    gemm = next(iter(model.graph))
    assert gemm.attributes["alpha"].as_float() == gemm.attributes["beta"].as_float() == 1.0
    assert_same_outputs(data, model, {"x": ["N", 6]})


@pytest.mark.parametrize("opset", [7, 9, 13, 17, 21])
def test_every_opset_is_brought_to_21(opset):
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    data = model_bytes(nodes, [tensor("w", 6, 5), tensor("b", 5)], {"x": ["N", 6]}, opset=opset)
    model = normalise(load(data))
    assert model.opset_imports[""] == 21
    assert_same_outputs(data, model, {"x": ["N", 6]})


def test_weights_in_constant_nodes_and_behind_a_reshape_are_found():
    nodes = [
        helper.make_node("Constant", [], ["raw"], value=tensor("", 2, 3, 5)),
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([6, 5]))),
        helper.make_node("Reshape", ["raw", "shape"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    data = model_bytes(nodes, [], {"x": ["N", 6]})
    model = normalise(load(data))
    layers, skipped = inventory(model)
    assert [(layer.op, layer.weight.shape, layer.axis) for layer in layers] == [("MatMul", (6, 5), 1)]
    assert skipped == []
    assert_same_outputs(data, model, {"x": ["N", 6]})


@pytest.mark.parametrize(
    ("op", "options", "axis"),
    [("Conv", {}, 0), ("ConvTranspose", {}, 1), ("Gemm", {}, 1), ("Gemm", {"trans_b": 1}, 0)],
)
def test_channel_axis_follows_the_operator(op, options, axis):
    node, initializers, shape, _ = layer_nodes(op, **options)
    node.output[0] = "y"
    (layer,), _ = inventory(normalise(load(model_bytes([node], initializers, {"x": shape}))))
    assert layer.axis == axis


def test_a_constant_left_operand_of_matmul_is_the_weight():
    data = model_bytes([helper.make_node("MatMul", ["w", "x"], ["y"])], [tensor("w", 4, 6)], {"x": [6, 3]})
    (layer,), _ = inventory(normalise(load(data)))
    assert (layer.weight_index, layer.input_index, layer.axis) == (0, 1, 0)


def test_a_computed_weight_is_skipped_with_the_reason():
    data = model_bytes([helper.make_node("MatMul", ["x", "z"], ["y"])], [], {"x": ["N", 6], "z": [6, 5]})
    layers, (skipped,) = inventory(normalise(load(data)))
    assert layers == []
    assert "computed at run time" in skipped.reason


def test_nodes_without_names_get_names_of_their_own():
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Gemm", ["h", "v"], ["y"])]
    data = model_bytes(nodes, [tensor("w", 6, 6), tensor("v", 6, 5)], {"x": ["N", 6]})
    names = [layer.name for layer in inventory(normalise(load(data)))[0]]
    assert len(set(names)) == 2


@pytest.mark.parametrize("data", [b"", b"not onnx at all", b"\x08\x08\x12\x00"])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(UnreadableModel, match="accepted"):
        load(data)


def test_a_truncated_model_is_refused():
    node, initializers, shape, _ = layer_nodes("Conv")
    node.output[0] = "y"
    with pytest.raises(UnreadableModel, match="cut short"):
        load(model_bytes([node], initializers, {"x": shape})[:-100])


def test_an_archive_is_refused_by_what_it_is():
    with pytest.raises(UnsupportedFormat, match="zip"):
        load(b"PK\x03\x04rest")


def test_missing_external_data_names_the_weight_and_the_file():
    weight = tensor("w", 6, 5)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    with pytest.raises(MissingExternalData, match=r"'w'.*weights\.bin"):
        load(model_bytes([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight], {"x": ["N", 6]}))


@pytest.mark.parametrize("opset", [6, 27])
def test_an_opset_outside_the_range_is_refused(opset):
    with pytest.raises(UnsupportedOpset, match="7 to 26"):
        load(model_bytes([helper.make_node("Relu", ["x"], ["y"])], [], {"x": ["N"]}, opset=opset))


def test_a_custom_operator_is_refused_by_name():
    node = helper.make_node("Decode", ["x"], ["y"], domain="acme")
    with pytest.raises(UnsupportedOperator, match="acme::Decode"):
        load(model_bytes([node], [], {"x": ["N"]}, domain="acme"))


def assert_same_outputs(data, model, inputs):
    feeds = {
        name: RNG.normal(size=[3 if isinstance(size, str) else size for size in shape]).astype(np.float32)
        for name, shape in inputs.items()
    }
    expected = Session(data).run(feeds)
    actual = Session(ir.to_proto(model).SerializeToString()).run(feeds)
    for a, b in zip(expected, actual, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("pads", "mode", "folds"), [
    ([0, 0, 1, 0, 0, 0, 2, 1], "constant", True),
    ([0, 1, 1, 0, 0, 0, 0, 0], "constant", False),
    ([0, 0, 1, 1, 0, 0, 1, 1], "edge", False),
    ([0, 0, -1, 0, 0, 0, 0, 0], "constant", False),
])  # fmt: skip
def test_borders_of_zeros_go_into_the_convolutions_behind_them(pads, mode, folds):
    channels = 3 + pads[1]
    weight = np.random.default_rng(0).normal(size=(4, channels, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Pad", ["x", "pads"], ["p"], mode=mode),
         helper.make_node("Conv", ["p", "w"], ["y"], pads=[0, 1, 0, 0])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(pads), "pads"), numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    model = normalise(load(source))
    assert ("Pad" not in {node.op_type for node in model.graph}) == folds
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)
    expected, found = (Session(one).run({"x": x})[0] for one in (source, ir.to_proto(model).SerializeToString()))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
