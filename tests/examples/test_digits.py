"""The example files are what their README says."""

import zipfile

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper


@pytest.fixture
def evaluation(examples):
    with np.load(examples / "digits_evaluation.npz") as data:
        return dict(data)


@pytest.fixture
def logits(examples, evaluation):
    return ort.InferenceSession(examples / "digits.onnx").run(["logits"], {"input": evaluation["input"]})[0]


def test_the_model_has_its_stated_accuracy(examples, evaluation, logits):
    top1 = 100 * (logits.argmax(1) == evaluation["labels"]).mean()
    assert top1 == pytest.approx(99.2)
    assert f"{top1:.1f} % of the {len(logits)} evaluation images" in (examples / "README.md").read_text()


def test_the_model_has_what_a_quantizer_meets_in_the_wild(examples):
    model = onnx.load(examples / "digits.onnx")
    assert [opset.version for opset in model.opset_import] == [17]
    nodes = model.graph.node
    assert {"Conv", "BatchNormalization", "Add", "Clip", "Gemm"} <= {node.op_type for node in nodes}
    for node in nodes:
        if node.op_type == "BatchNormalization":
            assert helper.get_node_attr_value(node, "training_mode") == 0
        if node.op_type == "Gemm":
            assert len(node.input) == 3
    groups = [helper.get_node_attr_value(node, "group") for node in nodes if node.op_type == "Conv"]
    assert max(groups) == 24
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_the_torchscript_file_is_the_same_model(examples, evaluation, logits):
    with torch.no_grad():
        actual = torch.jit.load(examples / "digits.pt")(torch.from_numpy(evaluation["input"])).numpy()
    np.testing.assert_allclose(actual, logits, rtol=1e-3, atol=1e-3)


def test_calibration_and_evaluation_share_no_image_and_all_is_small(examples, evaluation):
    with np.load(examples / "digits_calibration.npz") as calibration:
        used = {image.tobytes() for image in calibration["input"]}
    assert len(used) > 200
    assert not used & {image.tobytes() for image in evaluation["input"]}
    assert evaluation["labels"].dtype == np.uint8
    assert sum(path.stat().st_size for path in examples.glob("digits*")) < 700_000


def test_the_torchscript_file_does_not_tell_where_it_was_made(examples):
    with zipfile.ZipFile(examples / "digits.pt") as archive:
        assert "digits/traced_inputs.pkl" in archive.namelist()
        for name in archive.namelist():
            assert b"site-packages" not in archive.read(name), name
