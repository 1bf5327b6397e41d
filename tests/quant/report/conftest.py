"""Jobs on the digits network, with the reports that they write."""

import pytest

from quant.outcome.report import Report
from quant.pipeline import Inputs, quantize_model
from tests.specs import UNTIMED


@pytest.fixture
def report(tmp_path, examples):
    """Return a function that runs a job on the digits network and returns its report."""

    def run(spec, *, calibrated=True, evaluated=True, model="digits.onnx"):
        calibration = examples / "digits_calibration.npz" if calibrated else None
        evaluation = examples / "digits_evaluation.npz" if evaluated else None
        quantize_model(
            Inputs(examples / model, model, {**UNTIMED, **spec}, calibration, evaluation), tmp_path, lambda *_: None
        )
        return Report.model_validate_json((tmp_path / "report.json").read_bytes())

    return run
