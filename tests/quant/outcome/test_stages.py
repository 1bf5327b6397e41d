"""A job reports stages of the contract only, in an order that the enumeration follows at its ends."""

import json

from quant.outcome.stages import Stage
from quant.pipeline import Inputs, quantize_model

CONTRACT = [
    "loading", "normalising", "fitting", "quantizing", "calibrating", "correcting", "exporting", "evaluating",
    "storing",
]  # fmt: skip


def test_the_stages_are_those_of_the_contract():
    assert [stage.value for stage in Stage] == CONTRACT
    assert json.dumps(Stage.LOADING) == '"loading"'


def test_a_job_reports_members_of_the_enumeration(tmp_path, examples):
    stages = []
    data = [examples / f"digits_{role}.npz" for role in ("calibration", "evaluation")]
    inputs = Inputs(examples / "digits.onnx", "digits", {"preset": "int8"}, *data)
    quantize_model(inputs, tmp_path, lambda stage, *_: stages.append(stage))
    assert all(isinstance(stage, Stage) for stage in stages)
    assert (stages[0], stages[-1]) == (Stage.LOADING, Stage.STORING)
    assert {Stage.NORMALISING, Stage.FITTING, Stage.CALIBRATING, Stage.EXPORTING, Stage.EVALUATING} < set(stages)
