"""The example files are what they are said to be."""

import numpy as np
import onnx
import onnxruntime as ort
import torch


def test_the_model_has_its_stated_accuracy_and_unfolded_batchnorm(examples):
    data = np.load(examples / "digits_evaluation.npz")
    (logits,) = ort.InferenceSession(examples / "digits.onnx").run(None, {"input": data["input"]})
    assert 100 * (logits.argmax(1) == data["labels"]).mean() >= 99
    operators = {node.op_type for node in onnx.load(examples / "digits.onnx").graph.node}
    assert {"Conv", "BatchNormalization", "Add", "Gemm", "Clip"} <= operators


def test_the_torchscript_file_is_the_same_model(examples):
    images = np.load(examples / "digits_evaluation.npz")["input"]
    (expected,) = ort.InferenceSession(examples / "digits.onnx").run(None, {"input": images})
    with torch.no_grad():
        actual = torch.jit.load(examples / "digits.pt")(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_calibration_and_evaluation_share_no_image_and_all_is_small(examples):
    sets = [np.load(examples / f"digits_{role}.npz")["input"] for role in ("calibration", "evaluation")]
    calibration, evaluation = ({image.tobytes() for image in images} for images in sets)
    assert not calibration & evaluation
    assert sum(path.stat().st_size for path in examples.glob("digits*")) < 1_000_000
