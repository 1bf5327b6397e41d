"""A converted model gives the outputs that it gave before, or is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter

from quant.errors import ModelError, UnsupportedOpset
from quant.graph.load.onnx_file import load
from quant.graph.normalise.convert import at_opset, raise_ir_version
from tests.quant.graph.models import run

RNG = np.random.default_rng(0)


def model_of(nodes, opset, inputs=None, initializers=(), outputs=("y",)):
    inputs = inputs or {"x": (TensorProto.FLOAT, ["N", 1, "H", "W"])}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs], list(initializers),
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    return model.SerializeToString()


def resize(op, opset, mode, scales):
    if opset == 7:
        return model_of([helper.make_node(op, ["x"], ["y"], mode=mode, scales=scales)], 7)
    constant = numpy_helper.from_array(np.array(scales, np.float32), "s")
    return model_of([helper.make_node(op, ["x", "s"], ["y"], mode=mode)], opset, initializers=[constant])


def assert_same(data, model, feeds):
    for before, after in zip(run(data, feeds), run(model, feeds), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(
    ("op", "opset", "scales"),
    [
        ("Upsample", 7, [1.0, 1.0, 2.0, 2.0]),
        ("Upsample", 9, [1, 1, 2.5, 2.5]),
        ("Resize", 10, [1, 1, 2.5, 2.5]),
        ("Resize", 10, [1, 1, 0.5, 0.5]),
        ("Resize", 10, [1, 1, 0.4, 0.7]),
    ],
)
def test_images_are_scaled_as_they_were_before_opset_11(op, opset, mode, scales):
    data = resize(op, opset, mode, scales)
    model = at_opset(load(data), 21)
    assert model.opset_imports[""] == 21
    assert_same(data, model, {"x": RNG.normal(size=(3, 1, 11, 13)).astype(np.float32)})


def test_onnx_alone_changes_what_is_computed():
    """Why the outputs are compared: the converter itself does not complain."""
    data = resize("Resize", 10, "linear", [1, 1, 2, 2])
    wrong = version_converter.convert_version(onnx.load_model_from_string(data), 21)
    feeds = {"x": RNG.normal(size=(1, 1, 4, 4)).astype(np.float32)}
    assert np.abs(run(data, feeds)[0] - run(wrong.SerializeToString(), feeds)[0]).max() > 0.1


def test_what_would_compute_something_else_is_refused():
    """Nearest neighbours that shrink one side and stretch the other: no attribute of Resize says that."""
    with pytest.raises(UnsupportedOpset, match=r"opset 10 cannot be brought to 21.*output 0 differs"):
        at_opset(load(resize("Resize", 10, "nearest", [1, 1, 0.4, 2.7])), 21)


def test_the_sample_decides_where_one_is_given():
    data = resize("Resize", 10, "nearest", [1, 1, 0.4, 2.7])
    blank = {"x": np.zeros((1, 1, 5, 5), np.float32)}
    assert_same(data, at_opset(load(data), 21, blank), blank)


@pytest.mark.parametrize("batch", ["N", 4])
def test_one_sample_is_enough_unless_the_batch_is_fixed(batch):
    inputs = {"x": (TensorProto.FLOAT, [batch, 1, "H", "W"])}
    data = model_of([helper.make_node("Relu", ["x"], ["y"])], 13, inputs)
    feeds = {"x": RNG.normal(size=(4, 1, 5, 5)).astype(np.float32)}
    assert_same(data, at_opset(load(data), 21, feeds), feeds)


@pytest.mark.parametrize("condition", [True, False])
def test_bodies_of_branches_are_converted_too(condition):
    def body(name, node):
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])

    then = body("a", helper.make_node("Resize", ["x", "s"], ["a"], mode="linear"))
    other = body("b", helper.make_node("Pad", ["x"], ["b"], pads=[0, 0, 2, 2, 0, 0, 2, 2]))
    inputs = {"x": (TensorProto.FLOAT, ["N", 1, 4, 4]), "c": (TensorProto.BOOL, [])}
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")
    node = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    data = model_of([node], 10, inputs, [scales])
    feeds = {"x": RNG.normal(size=(2, 1, 4, 4)).astype(np.float32), "c": np.array(condition)}
    assert_same(data, at_opset(load(data), 21), feeds)


def test_large_weights_are_given_back_as_they_were(tmp_path):
    weight = numpy_helper.from_array(RNG.normal(size=(64, 32)).astype(np.float32), "w")
    weight.external_data.add(key="location", value="w.bin")
    (tmp_path / "w.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    data = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], 9, {"x": (TensorProto.FLOAT, ["N", 64])}, [weight])
    (tmp_path / "m.onnx").write_bytes(data)
    before = load(tmp_path / "m.onnx")
    tensor = before.graph.initializers["w"].const_value
    after = at_opset(before, 21)
    assert after.graph.initializers["w"].const_value is tensor
    assert before.graph.initializers["w"].const_value is tensor


def test_a_model_of_a_later_opset_stays_as_it_is():
    model = load(model_of([helper.make_node("Relu", ["x"], ["y"])], 25))
    assert at_opset(model, 21) is model


def test_a_model_that_cannot_run_is_refused_before():
    with pytest.raises(ModelError, match="cannot load"):
        at_opset(load(model_of([helper.make_node("Relu", ["x", "x"], ["y"])], 13)), 21)


@pytest.mark.data
@pytest.mark.parametrize("opset", [21, 25])
@pytest.mark.parametrize(
    ("name", "feeds"),
    [
        ("models/mnist_opset8", {"Input3": (1, 1, 28, 28)}),
        ("coverage/ultraface_rfb320", {"input": (1, 3, 240, 320)}),
        ("coverage/yunet_n_dynamic", {"input": (2, 3, 64, 96)}),
        ("coverage/ppocrv3_det", {"x": (2, 3, 64, 96)}),
        ("coverage/dtln_2", {"input_4": (1, 1, 512), "input_5": (1, 2, 128, 2)}),
        ("coverage/oww_melspectrogram", {"input": (3, 4000)}),
        ("coverage/basic_pitch", {"serving_default_input_2:0": (2, 43844, 1)}),
        ("coverage/silero_vad_half", {"input": (3, 512), "state": (2, 3, 128)}),
    ],
)
def test_real_models_stay_what_they_are(data, name, opset, feeds):
    path = data / f"{name}.onnx"
    model = at_opset(load(path), opset)
    raise_ir_version(model)
    assert model.opset_imports[""] == opset
    arrays = {key: RNG.normal(size=shape).astype(np.float32) for key, shape in feeds.items()}
    for before, after in zip(run(path.read_bytes(), arrays), run(model, arrays), strict=True):
        assert np.abs(before - after).max() <= 1e-3 * np.abs(before).max()


@pytest.mark.parametrize(("opset", "version"), [(17, 7), (21, 10), (24, 10), (25, 13)])
def test_the_ir_version_is_the_one_that_the_opset_needs(opset, version):
    model = load(model_of([helper.make_node("Relu", ["x"], ["y"])], opset))
    raise_ir_version(model)
    assert model.ir_version == version


def test_an_operator_without_a_kernel_at_the_later_opset_is_refused_with_the_opset_that_works():
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["r"], "noise"), helper.make_node("Add", ["x", "r"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(UnsupportedOpset, match=r"RandomNormalLike.* or export.opset 21 in the spec"):
        at_opset(load(proto.SerializeToString()), 25)
    assert at_opset(load(proto.SerializeToString()), 21).opset_imports[""] == 21
