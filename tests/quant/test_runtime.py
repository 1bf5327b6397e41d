"""Sessions run a model or raise the caller's error; the operators counted are those that ONNX Runtime executes."""

import errno
import resource

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.errors import ExportError, ModelError
from quant.runtime import Session, load_executed, optimised_operators
from tests.quant.onnx_text import proto_of

WEIGHT = np.arange(6, dtype=np.float32).reshape(3, 2)
X = np.ones((4, 3), np.float32)


def model(weight=WEIGHT, external=False):
    """A model of one MatMul, its weight as an initializer in the file or outside it."""
    tensor = numpy_helper.from_array(weight, "w")
    if external:
        onnx.external_data_helper.set_external_data(tensor, "w.bin", length=weight.nbytes)
        tensor.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [tensor],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def quantized_model():
    """A MatMul whose weight is stored as INT8 with a DequantizeLinear."""
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    tensors = [
        numpy_helper.from_array(WEIGHT.astype(np.int8), "codes"),
        numpy_helper.from_array(np.float32(1), "scale"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def test_a_session_returns_the_outputs_of_a_batch():
    session = Session(model())
    assert session.outputs == ("y",)
    np.testing.assert_array_equal(session.run({"x": X})[0], X @ WEIGHT)


def test_external_weights_come_from_memory():
    session = Session(model(external=True), weights={"w": 2 * WEIGHT})
    np.testing.assert_array_equal(session.run({"x": X}, ["y"])[0], X @ (2 * WEIGHT))


@pytest.mark.parametrize("options", [{"in_order": True}, {"mapped": True}, {"fold_weights": True}, {"threads": 1}])
def test_options_do_not_change_the_outputs(options):
    np.testing.assert_array_equal(Session(model(), **options).run({"x": X})[0], X @ WEIGHT)


@pytest.mark.parametrize("failure", [ModelError, ExportError])
def test_a_model_that_cannot_be_loaded_raises_the_callers_error(failure):
    with pytest.raises(failure, match=r"ONNX Runtime [\d.]+ cannot load the twin: "):
        Session(b"no model", "the twin", failure)


def test_a_failed_run_raises_one_line():
    with pytest.raises(ModelError, match="cannot run the model") as caught:
        Session(model()).run({"x": np.ones((4, 5), np.float32)})
    assert "\n" not in caught.value.detail


def test_the_optimised_graph_is_counted(tmp_path):
    counts = optimised_operators(model())
    assert (counts["MatMul"], counts["DequantizeLinear(weight)"]) == (1, 0)
    Session(model(), optimised=tmp_path / "optimised.onnx")
    assert [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node] == ["MatMul"]


def test_a_weight_that_is_dequantized_at_every_run_is_counted_and_named():
    session, weights = load_executed(quantized_model())
    counts = optimised_operators(quantized_model())
    assert counts["DequantizeLinear(weight)"] == counts["DequantizeLinear"] == len(weights)
    np.testing.assert_array_equal(session.run({"x": X})[0], X @ WEIGHT)


def test_outputs_with_a_free_last_axis_are_sequences():
    text = (
        "g (float[N, 3, T] x) => (float[N, 3, T] y, float[N, 3] z) { y = Relu (x) z = ReduceSum <keepdims = 0>(x, a) }"
    )
    assert Session(proto_of(text, a=np.array([2]))).sequences == {"y"}


def test_a_full_disk_is_no_fault_of_the_model():
    _, hard = soft = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(OSError, match="No space left on device") as raised:
            load_executed(model(), "the quantized model", ExportError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
    assert raised.value.errno == errno.ENOSPC


def test_a_profile_that_the_disk_cannot_hold_is_an_error_of_the_disk(tmp_path):
    session = Session(model(), profile=str(tmp_path / "profile"))
    session.run({"x": X})
    _, hard = soft = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(OSError, match="No space left on device"):
            session.node_times()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
