"""The way of a job: load -> normalise -> fit and quantize -> calibrate -> export -> evaluate -> report."""

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.correction.twin import LayerDifference
from quant.data.dataset import Dataset, read_dataset
from quant.digests import FileDigest, write
from quant.error_bounds.propagate import NO_BOX, NOT_ASKED, Bounds, bound_errors
from quant.errors import ExportError, LargeModel
from quant.evaluation.compare import evaluate
from quant.graph.load.source import FloatModel, open_model
from quant.graph.normalise.normalise import normalise
from quant.layerwise import max_whole_bytes, quantize_layerwise, whole_model_reasons
from quant.outcome import artifacts
from quant.outcome.gates import GateResult, Verdict, check_gates, verdict
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary
from quant.progress import Progress, correction_progress, sample_progress
from quant.report.junit import junit_xml
from quant.report.manifest import manifest_json
from quant.report.report import layer_report, model_report, report_html, report_json
from quant.report.result import Result, SignalAndNoise, samples_used
from quant.runtime import Session, loaded_and_counted
from quant.search.candidates import layer_differences
from quant.search.variants import Variant, attempt, best, equalized_forms
from quant.spec import Spec, require_data, resolve

Log = Callable[[Literal["info", "warning"], str], None]
"""Called with what is notable on the way."""


@dataclass(frozen=True)
class Inputs:
    """The files of one job; `name` is the model's file name as its owner knows it, `isolation` for the manifest."""

    model: Path
    name: str
    spec: Mapping[str, Any]
    calibration: Path | None = None
    evaluation: Path | None = None
    isolation: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the job record keeps; `timings` are seconds by layer, which no artifact holds."""

    summary: Summary
    verdict: Verdict
    gates: list[GateResult]
    timings: dict[str, float]


def _unheard(_level: str, _message: str) -> None:
    """Nobody listens."""


def quantize_model(inputs: Inputs, out: Path, progress: Progress, log: Log = _unheard) -> Outcome:
    """Quantize one model and write model.onnx, report.json, report.html, gates.junit.xml and manifest.json to `out`.

    A large model's weights go into model.onnx.data.

    Raises:
        QuantdError: anything a caller can act on; see `quant.errors`.
    """
    with (
        tempfile.TemporaryDirectory() as scratch,  # external data is mapped from there to the end
        ThreadPoolExecutor(1) as beside,  # what has to be read while there is something else to do
    ):
        return _quantize(inputs, beside, out, Path(scratch), progress, log)


def _quantize(
    inputs: Inputs, beside: ThreadPoolExecutor, out: Path, scratch: Path, progress: Progress, log: Log
) -> Outcome:
    started = time.perf_counter()
    spec = resolve(inputs.spec)
    require_data(spec, calibration=inputs.calibration is not None, evaluation=inputs.evaluation is not None)

    progress(Stage.LOADING, 0, 1, inputs.name)
    roles = {"calibration": inputs.calibration, "evaluation": inputs.evaluation}
    given = {role: path for role, path in roles.items() if path is not None}
    digests = {"model": beside.submit(FileDigest.read, inputs.model)}
    wants = whole_model_reasons(spec, given)
    most = max_whole_bytes(wants)
    source = open_model(inputs.model, scratch, spec.torchscript.inputs, most)
    if source.size > most and wants:
        raise LargeModel(
            f"{' and '.join(wants)}, which is for models of at most {most} bytes, and the model has {source.size}; "
            "accepted: a *-weights preset without calibration data and without a budget"
        )
    datasets = {role: beside.submit(read_dataset, path, source.model) for role, path in given.items()}
    digests |= {role: beside.submit(FileDigest.read, path) for role, path in given.items()}
    origin = digests["model"].result().sha256
    if source.size <= most:
        result = _quantize_whole(source, inputs.name, datasets, spec, out, origin, progress)
    else:
        evaluation = datasets["evaluation"].result() if "evaluation" in datasets else None
        result = quantize_layerwise(source, evaluation, spec, out, origin, progress)

    progress(Stage.STORING, 0, 1, artifacts.REPORT.name)
    for left in result.skipped:
        log("info", f"{left.name} ({left.op}) is left as it is: {left.reason}")
    for warning in result.warnings:
        log("warning", warning)
    summary = result.summary(source.size)
    gates = check_gates(spec.gates, result.gate_figures(summary))
    report = model_report(summary, result, spec)
    documents = {
        artifacts.REPORT.name: report_json(report),
        artifacts.REPORT_PAGE.name: report_html(report, inputs.name, gates),
        artifacts.GATES_JUNIT.name: junit_xml(gates),
    }
    files = result.files | {name: write(out / name, data) for name, data in documents.items()}
    uploads = {role: stored.result() for role, stored in digests.items()}
    write(out / artifacts.MANIFEST.name, manifest_json(uploads, spec, files, inputs.isolation))
    summary = summary.model_copy(update={"seconds": time.perf_counter() - started})
    return Outcome(summary, verdict(gates), gates, result.seconds)


def _quantize_whole(
    source: FloatModel,
    name: str,
    datasets: Mapping[str, Future[Dataset]],
    spec: Spec,
    out: Path,
    origin: str,
    progress: Progress,
) -> Result:
    """The way of a model that ONNX Runtime can run here, before and after."""
    model = source.model
    reference = Session(source.reference)  # what cannot be loaded is refused first
    calibration, evaluation = (
        datasets[role].result() if role in datasets else None for role in ("calibration", "evaluation")
    )

    progress(Stage.NORMALISING, 0, 1, name)
    promises = batchnorm_moments(model)
    given = calibration or evaluation
    model = normalise(model, spec.export.opset, next(given.batches()) if given else None, reference)
    del reference  # it is loaded again for what is left to do with it: its weights would be held all the while
    tries = [
        attempt(form, one, calibration, spec, promised, (source.size, origin), progress)
        for form, (one, promised) in equalized_forms(model, promises, spec, calibrated=calibration is not None).items()
    ]
    kept = best(tries, progress) if len(tries) > 1 else tries[0]
    decision = kept.decision

    differences, bounds = _measured(kept, progress)
    progress(Stage.EXPORTING, 0, 1, artifacts.MODEL.name)
    exported = kept.exported(decision.model)
    assert decision.max_bytes is None or len(exported) <= decision.max_bytes, "the budget was decided on this size"
    quantized, operators = loaded_and_counted(exported, "the quantized model", ExportError)
    outputs = None
    if evaluation is not None:
        reference = Session(source.reference)
        expected = (reference.run(feeds) for feeds in evaluation.batches())
        outputs = evaluate(expected, quantized, evaluation, sample_progress(progress, Stage.EVALUATING))
    elif calibration is not None:
        quantized.run(next(calibration.batches()))
    return Result(
        files={artifacts.MODEL.name: write(out / artifacts.MODEL.name, exported)},
        entries=[
            layer_report(done, spec.export.opset, decision.tuned, differences, bounds) for done in decision.layers
        ],
        seconds={done.layer.name: done.seconds for done in decision.layers},
        skipped=kept.skipped,
        weights=reduce(SignalAndNoise.plus, (done.quantized.errors for done in decision.layers), SignalAndNoise()),
        warnings=[*_warnings(operators["DequantizeLinear(weight)"]), *decision.warnings],
        samples=samples_used(calibration, evaluation),
        outputs=outputs,
        decision=decision,
        differences=differences,
        bounds=bounds,
    )


def _measured(kept: Variant, progress: Progress) -> tuple[Mapping[str, LayerDifference], Bounds]:
    """The difference at each layer's output, and how far it can be, where there is calibration data and it is asked."""
    setting, decision = kept.setting, kept.decision
    if setting.calibration is None or decision.tuned is None:
        return {}, NO_BOX
    if setting.spec.report == "weights":
        return {}, NOT_ASKED
    quantized, ranges = decision.model, decision.tuned.kept.ranges
    differences = layer_differences(setting, quantized, correction_progress(progress))
    return differences, bound_errors(
        setting.model, setting.loadable, quantized, decision.layers, ranges, setting.calibration
    )


def _warnings(left: int) -> list[str]:
    """What its owner should know of the weights that are left to dequantize in the optimised graph."""
    if not left:
        return []
    return [f"{left} weights are dequantized at every inference: ONNX Runtime has no integer kernel for them"]
