"""The input files of a job: roles, digests, and the refusal of models that are too large."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quant import layerwise
from quant.errors import InputMismatch, LargeModel, UnreadableModel
from quant.inputs import Inputs, open_inputs
from quant.spec import resolve


@pytest.fixture
def opened(tmp_path, examples):
    """Open the digits network with other files for some roles."""

    def run(spec=None, **files):
        inputs = Inputs(files.pop("model", examples / "digits.onnx"), "d.onnx", spec or {"preset": "int8"}, **files)
        with ThreadPoolExecutor(1) as background:
            return open_inputs(inputs, resolve(inputs.spec), tmp_path, background)

    return run


def test_every_file_is_read_and_hashed(opened, examples):
    calibration = examples / "digits_calibration.npz"
    files = opened(calibration=calibration)
    assert files.whole
    assert files.name == "d.onnx"
    assert set(files.digests) == {"model", "calibration"}
    assert files.digests["calibration"].sha256 == hashlib.sha256(calibration.read_bytes()).hexdigest()
    assert files.model_sha256 == hashlib.sha256((examples / "digits.onnx").read_bytes()).hexdigest()
    assert files.dataset("calibration").samples > 0
    assert files.dataset("evaluation") is None


def test_a_data_set_for_another_model_is_refused_when_it_is_asked_for(opened, tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros((4, 3), np.float32))
    files = opened(evaluation=tmp_path / "other.npz")
    with pytest.raises(InputMismatch, match=r"^evaluation data: array"):
        files.dataset("evaluation")


def test_a_file_that_is_no_model_is_refused(opened, tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(UnreadableModel):
        opened(model=path)


def test_a_large_model_is_quantized_layer_by_layer_unless_the_job_needs_all_of_it(opened, examples, monkeypatch):
    monkeypatch.setattr(layerwise, "MAX_WHOLE_BYTES", 1000)
    monkeypatch.setattr(layerwise, "MAX_MESSAGE_BYTES", 1000)
    assert not opened({"preset": "int8-weights"}).whole
    with pytest.raises(LargeModel, match="calibration data is given, which is for models of at most 1000 bytes"):
        opened(calibration=examples / "digits_calibration.npz")
    with pytest.raises(LargeModel, match="bits are to be allocated"):
        opened({"preset": "int8-weights", "budget": {"max_size_ratio": 0.2}})
