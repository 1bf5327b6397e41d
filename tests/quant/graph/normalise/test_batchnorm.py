"""Per-channel scales and shifts are folded into the adjacent layer, and the outputs stay."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from tests.quant.graph.models import assert_same_outputs, layer_nodes, model_of, random_tensor, run, tensor

RNG = np.random.default_rng(0)


def batchnorm(source, target, channels):
    names = [f"{target}_{part}" for part in ("scale", "bias", "mean", "variance")]
    node = helper.make_node("BatchNormalization", [source, *names], [target], epsilon=1e-3)
    return node, [random_tensor(name, channels, positive=name.endswith("variance")) for name in names]


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
    data = model_of([node, norm], initializers + statistics, {"x": shape})
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
    data = model_of([norm, node], initializers + statistics, {"x": shape})
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == [op]
    assert_same_outputs(data, model, {"x": shape})


def test_batchnorm_before_a_layer_with_borders_stays():
    """Borders are zeros after the normalization: no constant before it gives the same."""
    node, initializers, shape, _ = layer_nodes("Conv")
    norm, statistics = batchnorm("x", "n", 6)
    node.input[0], node.output[0] = "n", "y"
    node.attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
    data = model_of([norm, node], initializers + statistics, {"x": shape})
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
    data = model_of([node, constant], [*initializers, random_tensor("k", *dims)], {"x": size})
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == [layer]
    assert_same_outputs(data, model, {"x": size})


def test_a_constant_that_differs_along_the_image_stays():
    node, initializers, size, _ = layer_nodes("Conv")
    data = model_of(
        [node, helper.make_node("Add", ["h", "k"], ["y"])], [*initializers, random_tensor("k", 1, 1, 6)], {"x": size}
    )
    assert [n.op_type for n in normalise(load(data)).graph] == ["Conv", "Add"]


def test_batchnorm_stays_where_the_layer_has_another_consumer():
    node, initializers, shape, channels = layer_nodes("Conv")
    norm, statistics = batchnorm("h", "y", channels)
    data = model_of([node, norm], initializers + statistics, {"x": shape}, outputs=("y", "h"))
    model = normalise(load(data))
    assert [n.op_type for n in model.graph] == ["Conv", "BatchNormalization"]
    assert_same_outputs(data, model, {"x": shape})


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def body(name, nodes, initializers=()):
    return helper.make_graph(
        nodes, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], list(initializers)
    )


def test_batchnorm_in_a_body_does_not_reach_for_the_layer_outside():
    statistics = [tensor(name, np.abs(normal(5)) + 0.5) for name in ("g", "s", "m", "v")]
    then = body("p", [helper.make_node("BatchNormalization", ["h", "g", "s", "m", "v"], ["p"])], statistics)
    other = body("q", [helper.make_node("Neg", ["x"], ["q"])])
    inputs = {"x": (TensorProto.FLOAT, ["N", 6]), "c": (TensorProto.BOOL, [])}
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"]),
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    data = model_of(nodes, [tensor("w", normal(6, 5))], inputs)
    feeds = {"x": normal(3, 6), "c": np.array(True)}
    np.testing.assert_allclose(run(data, feeds)[0], run(normalise(load(data)), feeds)[0], rtol=1e-4, atol=1e-4)
