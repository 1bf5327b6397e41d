"""The pipeline of a job: from a float model and its data to the quantized model and its report."""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from quant.calibration.batch_memory import within_memory
from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.calibration.channel_moments import ChannelMoments
from quant.calibration.data_checks import check_data
from quant.calibration.saturation import saturated
from quant.data.dataset import Dataset
from quant.data.findings import texts
from quant.data.padding import without_padding
from quant.deadline import LIMIT_REACHED, Deadline
from quant.digests import write
from quant.errors import ExportError
from quant.evaluation.compare import evaluate
from quant.evaluation.metrics import OutputComparison
from quant.graph.normalise.normalise import normalise
from quant.graph.random_values import random_tensors
from quant.graph.signature import require_signature
from quant.inputs import Inputs, OpenedInputs, open_inputs
from quant.layerwise import quantize_layerwise
from quant.lint.lint import lint
from quant.lint.lint import texts as target_texts
from quant.outcome import artifacts
from quant.outcome.baseline import compare_with_baseline
from quant.outcome.gates import GateResult, Verdict, check_gates, verdict
from quant.outcome.latency import Latency
from quant.outcome.report.changes import BaselineComparison
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary
from quant.progress import Progress, sample_progress
from quant.report.dequantized import dequantized_warnings
from quant.report.exports import export_report
from quant.report.job_warnings import limit_warnings, size_warnings
from quant.report.junit import junit_xml
from quant.report.latency import IN_LAYERS, latency_of
from quant.report.layer_entry import layer_report
from quant.report.manifest import manifest_json
from quant.report.measurements import measure
from quant.report.page.render import report_html
from quant.report.report import build_report, report_json
from quant.report.result import Result, SignalAndNoise, samples_used
from quant.runtime import Session, load_executed
from quant.search.choice import Choice, without_layers
from quant.search.context import HELD_OUT, Source
from quant.search.error_shares import measure_error_shares
from quant.search.model_choice import NormalisedModel, choose_model
from quant.spec import Spec, adapt_to_data, require_data, resolve

__all__ = ["Inputs", "Log", "Outcome", "quantize_model"]

Log = Callable[[Literal["info", "warning"], str], None]
"""Called with a level and a message that the owner of the job should read."""


@dataclass(frozen=True)
class Outcome:
    """The result of a job for its record; no artifact holds `timings`, the seconds by layer, or `latency`."""

    summary: Summary
    verdict: Verdict
    gates: list[GateResult]
    timings: dict[str, float]
    latency: Latency | None
    comparison: BaselineComparison | None


def _ignore(_level: str, _message: str) -> None:
    """Ignore a log message."""


def quantize_model(inputs: Inputs, out: Path, progress: Progress, log: Log = _ignore) -> Outcome:
    """Quantize one model and write its artifacts to the folder `out`.

    A job goes through these stages:

    1. Load: open the model; read the data sets in the background (`quant.inputs`).
    2. Normalise the graph, and derive the variants to quantize: as it is, with equalized channels (`search.variants`).
    3. Calibrate every variant: run the float model over the calibration set, and derive the moments of the layers'
       inputs and the activation ranges (`search.context`).
    4. Fit, clip and round the weights, with the bits that the spec, its budget or its gates give them
       (`search.decide.quantize_weights`).
    5. Correct the biases and choose the candidate with the best outputs on held-out samples (`search.decide.choose`).
    6. Measure the differences at the layers' outputs and their bounds (`report.measurements`).
    7. Export the chosen model, check that its inputs and outputs are the float model's, and load it in ONNX Runtime.
    8. Evaluate its outputs against the float model's, and measure the share of each layer in the error
       (`search.error_shares`).
    9. Report: write the reports, check the gates, write the manifest.

    `search.model_choice` goes through 3 to 5 with every variant, and chooses the best.

    A model that is too large to be held in memory at once goes through the stages of `quant.layerwise` instead of 2
    to 8, and its weights are written to model.onnx.data.

    Args:
        inputs: the files of the job.
        out: an existing folder.
        progress: receives the stages and their steps.
        log: receives the warnings, and the layers that stay in float.

    Raises:
        QuantdError: the job cannot be completed; `quant.errors` lists the causes.
    """
    started = time.perf_counter()
    spec = resolve(inputs.spec)
    deadline = Deadline(spec.limits.seconds)
    require_data(spec, calibration=inputs.calibration is not None, evaluation=inputs.evaluation is not None)
    spec = adapt_to_data(spec, calibrated=inputs.calibration is not None)
    with (
        tempfile.TemporaryDirectory() as scratch,  # external data stays mapped from here until the end
        ThreadPoolExecutor(1) as background,
    ):
        progress(Stage.LOADING, 0, 1, inputs.name)
        opened = open_inputs(inputs, spec, Path(scratch), background)
        if opened.whole:
            result = _quantize_whole(opened, spec, out, progress, deadline)
        else:
            evaluation = opened.dataset("evaluation")
            sha256 = opened.model_sha256
            result = quantize_layerwise(opened.source, evaluation, spec, out, sha256, progress, deadline)
            result = replace(result, latency=Latency.unmeasured(IN_LAYERS) if spec.measures_latency else None)
        progress(Stage.STORING, 0, 1, artifacts.REPORT.name)
        spec = spec if result.choice is None else result.choice.context.spec
        grown = size_warnings(opened.source.size, result.bytes, result.choice)
        result = replace(result, job_warnings=[*limit_warnings(deadline), *grown])
        summary, gates, comparison = _report(inputs, opened, result, spec, out, log)
    summary = summary.model_copy(update={"seconds": time.perf_counter() - started})
    return Outcome(summary, verdict(gates), gates, result.seconds, result.latency, comparison)


def _quantize_whole(opened: OpenedInputs, spec: Spec, out: Path, progress: Progress, deadline: Deadline) -> Result:
    """Quantize a model that fits in memory and that ONNX Runtime can run: stages 2 to 8."""
    reference = Session(opened.source.reference)  # a model that ONNX Runtime cannot load is refused first
    data = check_data(reference, opened.dataset("calibration"), opened.dataset("evaluation"), spec)
    sets = (data.calibration, data.evaluation)
    calibration, evaluation = (dataset and without_padding(dataset, opened.source.model.graph) for dataset in sets)

    progress(Stage.NORMALISING, 0, 1, opened.name)
    model, normals = _normalise(opened.source.model, spec, calibration or evaluation, reference)
    if calibration is not None:  # in batches of which one can be held out
        calibration = within_memory(model, calibration).in_batches(HELD_OUT)
    del reference  # it is loaded again for the evaluation; its weights would take memory until then
    source = Source(opened.source.size, opened.model_sha256)
    float_model = NormalisedModel(model, normals, calibration, evaluation, source, progress, deadline)
    choice = choose_model(float_model, spec)

    measured = measure(choice, evaluation, progress)
    progress(Stage.EXPORTING, 0, 1, artifacts.MODEL.name)
    exported = _export(choice)
    require_signature(choice.model, opened.source.signature)
    quantized, dequantized = load_executed(exported, "the quantized model", ExportError)
    random = random_tensors(choice.context.model.graph)
    outputs = _evaluate(opened.source.reference, quantized, calibration, evaluation, random, spec, progress)
    measured = replace(measured, shares=measure_error_shares(choice, quantized, progress))
    del quantized
    findings = [*data.findings, *saturated(measured.clipped)]
    entries = [layer_report(layer, choice.context.spec, measured) for layer in choice.layers]
    seconds = {layer.layer.name: layer.seconds for layer in choice.layers}
    weights = reduce(SignalAndNoise.plus, (layer.quantized.errors for layer in choice.layers), SignalAndNoise())
    warnings = [*dequantized_warnings(choice.layers, dequantized), *choice.warnings, *texts(findings)]
    choice = without_layers(choice)  # the timed models are loaded in their place
    latency: Latency | None = Latency.unmeasured(LIMIT_REACHED)
    if spec.always_measures_latency or not deadline.skips("the measurement of latency"):
        latency = latency_of(opened.source.reference, choice.context.model, exported, float_model.timing_data, spec)
    target = lint(exported, spec.export.target)

    return Result(
        files={artifacts.MODEL.name: write(out / artifacts.MODEL.name, exported)},
        entries=entries,
        seconds=seconds,
        skipped=choice.context.skipped,
        weights=weights,
        warnings=[*warnings, *target_texts(target, spec.export.target)],
        findings=findings,
        target=target,
        samples=samples_used(calibration, evaluation),
        outputs=outputs,
        choice=choice,
        measured=measured,
        latency=latency,
    )


def _normalise(
    model: ir.Model, spec: Spec, dataset: Dataset | None, reference: Session
) -> tuple[ir.Model, dict[str, ChannelMoments]]:
    """Return the normalised model, and the moments that its BatchNormalization layers imply, by the tensor's name."""
    normals = batchnorm_moments(model)
    sample = next(dataset.singly().batches()) if dataset else None
    return normalise(model, spec.export.opset, sample, reference), normals


def _export(choice: Choice) -> bytes:
    """Return the file of the chosen model."""
    exported = choice.context.export(choice.model)
    assert choice.max_bytes is None or len(exported) <= choice.max_bytes, "the budget was decided on this size"
    return exported


def _evaluate(
    reference: Path,
    quantized: Session,
    calibration: Dataset | None,
    evaluation: Dataset | None,
    random: frozenset[str],
    spec: Spec,
    progress: Progress,
) -> OutputComparison | None:
    """Return the comparison on the evaluation set; without one, only run the quantized model on a calibration batch."""
    if evaluation is not None:
        session = Session(reference)
        expected = (session.run(feeds) for feeds in evaluation.batches())
        reported = sample_progress(progress, Stage.EVALUATING)
        return evaluate(expected, quantized, evaluation, reported, random, spec=spec, with_tasks=True)
    if calibration is not None:
        quantized.run(next(calibration.batches()))
    return None


def _report(
    inputs: Inputs, opened: OpenedInputs, result: Result, spec: Spec, out: Path, log: Log
) -> tuple[Summary, list[GateResult], BaselineComparison | None]:
    """Write the reports and the manifest.

    Returns:
        The summary without its duration, the gates, and the comparison with the baseline.
    """
    for node in result.skipped:
        log("info", f"{node.name} ({node.op}) is left as it is: {node.reason}")
    for warning in (*result.all_warnings, *(result.latency.warnings if result.latency else ())):
        log("warning", warning)
    summary = result.summary(opened.source.size)
    comparison: BaselineComparison | None = None
    if inputs.baseline is not None:
        sha256 = {role: digest.sha256 for role, digest in opened.digests.items()}
        comparison = compare_with_baseline(inputs.baseline, sha256, summary, result.latency_ratio)
    gates = check_gates(spec.gates, result.gate_figures(summary, comparison))
    report = build_report(opened.name, opened.digests, summary, gates, result, spec, comparison)
    documents = {
        artifacts.REPORT.name: report_json(report),
        artifacts.REPORT_PAGE.name: report_html(report),
        artifacts.GATES_JUNIT.name: junit_xml(gates, summary.task_metrics),
        **export_report(report, None if result.choice is None else result.choice.model),
    }
    files = result.files | {name: write(out / name, data) for name, data in documents.items()}
    write(out / artifacts.MANIFEST.name, manifest_json(opened.digests, spec, files, inputs.isolation))
    return summary, gates, comparison
