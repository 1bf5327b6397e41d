"""Cross-layer equalization: the same outputs, evener channels."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.calibration.batchnorm_moments import Normal, clipped_normal, expected_tensors, rescaled
from quant.calibration.observers import session_with_outputs
from quant.equalization.bias_absorption import absorb_biases
from quant.equalization.cross_layer import LIMIT, equalize
from quant.graph.biases import add_to_biases
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from quant.runtime import Session

SAMPLES = np.random.default_rng(1).normal(size=(4, 3, 6, 6)).astype(np.float32) * 3


@pytest.mark.parametrize("activation", ["Relu", "Clip", None])
def test_outputs_stay_and_ranges_meet(activation):
    model = network(activation)
    before = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    factors = equalize(model)
    after = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert set(factors) == {"c1", "c2"}
    first, depthwise, second = (layer.weight for layer in inventory(model)[0])
    outgoing = np.abs(first).max(axis=(1, 2, 3))
    np.testing.assert_allclose(outgoing, np.abs(depthwise).max(axis=(1, 2, 3)), rtol=1e-2)
    np.testing.assert_allclose(outgoing, np.abs(second).max(axis=(0, 2, 3)), rtol=1e-2)


def test_factors_are_limited_and_dead_channels_stay():
    model = network("Relu", spread=1e6, dead=True)
    before = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    factors = equalize(model)
    assert all(((f <= LIMIT * 1.0001) & (f >= 1 / LIMIT * 0.9999)).all() for f in factors.values())
    assert factors["c1"][0] == 1
    after = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3 * np.abs(before).max())


@pytest.mark.parametrize("activation", ["Sigmoid", "branch", "output"])
def test_what_would_change_the_outputs_is_left_alone(activation):
    model = network(activation)
    assert equalize(model) == {}
    assert "Min" not in {node.op_type for node in model.graph}


def test_the_promises_follow_the_factors():
    model = network("Clip")
    promise = Normal(np.array([0.5, 2.0, 5.0, -1.0]), np.array([1.0, 4.0, 9.0, 0.25]))
    expected = clipped_normal(promise, 0, 6)
    factors = equalize(model)
    found = expected_tensors(model, rescaled({"c1": promise}, factors))["r1"]
    np.testing.assert_allclose(found.mean, expected.mean * factors["c1"], rtol=1e-6)
    np.testing.assert_allclose(found.variance, expected.variance * factors["c1"] ** 2, rtol=1e-6)


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_what_channels_never_fall_below_moves_into_the_next_bias(activation):
    model = network(activation, spread=1.0, upper=120.0)
    add_to_biases(inventory(model)[0][:1], {"conv1": np.full(4, 100.0)})
    equalize(model)
    values, before = session_with_outputs(weightless(model), ["c1", "y"]).run({"x": SAMPLES}, ["c1", "y"])
    mean, least = (getattr(values.astype(np.float64), of)(axis=(0, 2, 3)) for of in ("mean", "min"))
    assert (least > 0).all()
    found = absorb_biases(model, {"c1": Normal(mean, ((mean - least) / 3) ** 2)})["c1"]
    np.testing.assert_allclose(found.mean, mean - least)
    values, after = session_with_outputs(weightless(model), ["c1", "y"]).run({"x": SAMPLES}, ["c1", "y"])
    np.testing.assert_allclose(values.min(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3)


def test_a_layer_of_groups_of_channels_absorbs_nothing():
    random = np.random.default_rng(0)
    arrays = {"w1": random.normal(size=(4, 3, 3, 3)), "b1": np.full(4, 100.0), "w2": random.normal(size=(2, 2, 1, 1))}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["y"], "conv2", group=2),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", c, *s]) for n, c, s in
            (("x", 3, [6, 6]), ("y", 2, [4, 4]))]  # fmt: skip
    weights = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    promises = {"c1": Normal(np.full(4, 100.0), np.ones(4))}
    assert absorb_biases(normalise(load(made.SerializeToString())), promises) == promises


def test_a_layer_with_borders_absorbs_nothing():
    """Its zeros lie behind the activation."""
    model = network("Relu")
    inventory(model)[0][1].node.attributes.add(ir.AttrInt64s("pads", [1, 1, 1, 1]))
    before = ir.to_proto(model).SerializeToString()
    promise = Normal(np.full(4, 100.0), np.ones(4))
    assert absorb_biases(model, {"c1": promise}) == {"c1": promise}
    assert ir.to_proto(model).SerializeToString() == before


@pytest.mark.data
@pytest.mark.parametrize("name", ["mobilenetv1_075_imagenet", "vww_mobilenetv1_025", "resnet20_cifar10"])
def test_real_networks_compute_the_same(data, name):
    model = normalise(load((data / "models" / f"{name}.onnx").read_bytes()))
    size = {"mob": 224, "vww": 96, "res": 32}[name[:3]]
    image = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
    feeds = {str(model.graph.inputs[0].name): image}
    before = Session(ir.to_proto(model).SerializeToString()).run(feeds)[0]
    assert len(equalize(model)) >= 9
    after = Session(ir.to_proto(model).SerializeToString()).run(feeds)[0]
    assert np.abs(after - before).max() < 1e-4 * np.abs(before).max()


def network(activation, spread=20.0, dead=False, upper=6.0):
    """Conv, activation, depthwise Conv, activation, Conv, with channels of very different size."""
    random = np.random.default_rng(0)
    sizes = np.geomspace(1 / spread, spread, 4).reshape(-1, 1, 1, 1)
    arrays = {"w1": random.normal(size=(4, 3, 3, 3)) * sizes, "b1": random.normal(size=4),
              "w2": random.normal(size=(4, 1, 3, 3)), "w3": random.normal(size=(5, 4, 1, 1)),
              "zero": np.array(0.0), "six": np.array(upper)}  # fmt: skip
    if dead:
        arrays["w1"][0] = 0
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1])]
    for number, group in ((2, 4), (3, 1)):
        source = f"c{number - 1}"
        if activation in ("Relu", "Sigmoid", "Clip"):
            inputs = [source, "zero", "six"] if activation == "Clip" else [source]
            nodes.append(helper.make_node(activation, inputs, [f"r{number - 1}"]))
            source = f"r{number - 1}"
        target = "y" if number == 3 else f"c{number}"
        nodes.append(helper.make_node("Conv", [source, f"w{number}"], [target], f"conv{number}", group=group))
    outputs = ["y"]
    if activation == "branch":
        nodes += [helper.make_node("Relu", ["c1"], ["z1"]), helper.make_node("Relu", ["c2"], ["z2"])]
    if activation == "output":
        outputs += ["c1", "c2"]
    if activation == "branch":
        outputs += ["z1", "z2"]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return normalise(load(made.SerializeToString()))
