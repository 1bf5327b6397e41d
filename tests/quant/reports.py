"""Reports of real jobs on the digits network, and copies of them with names from a hostile model."""

import tempfile
from functools import cache
from pathlib import Path

from quant.outcome.report import Report
from quant.pipeline import Inputs, quantize_model
from quant.report.notable_layers import notable_layers

EXAMPLES = Path(__file__).parents[2] / "examples"
GATES = {"min_output_sqnr_db": 30, "max_size_ratio": 0.5}


@cache
def digits_report(preset: str, *, calibrated: bool = True, evaluated: bool = True) -> Report:
    """Return the report of a job on the digits network; with evaluation data it has two gates."""
    spec = {"preset": preset, **({"gates": GATES} if evaluated else {})}
    calibration = EXAMPLES / "digits_calibration.npz" if calibrated else None
    evaluation = EXAMPLES / "digits_evaluation.npz" if evaluated else None
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(EXAMPLES / "digits.onnx", "digits.onnx", spec, calibration, evaluation)
        quantize_model(inputs, Path(folder), lambda *_: None)
        return Report.model_validate_json((Path(folder) / "report.json").read_bytes())


def renamed(report: Report, name: str) -> Report:
    """Return the report with a name for the model, its worst layer and its outputs, also in its sentence."""
    worst = notable_layers(report)[0].name
    layers = [layer.model_copy(update={"name": name}) if layer.name == worst else layer for layer in report.layers]
    outputs = report.outputs and tuple(output.model_copy(update={"name": name}) for output in report.outputs)
    return report.model_copy(
        update={
            "model": report.model.model_copy(update={"name": name}),
            "layers": tuple(layers),
            "worst_layers": tuple(name if layer == worst else layer for layer in report.worst_layers),
            "outputs": outputs,
            "diagnosis": report.diagnosis.model_copy(update={"sentence": f"Most of the error comes from `{name}`."}),
        }
    )
