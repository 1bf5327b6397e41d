"""The way of a job: load -> normalise -> fit and quantize -> calibrate -> export -> evaluate -> report."""

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from quant.absorption import absorb_biases
from quant.calibration import RangeObserver, tie
from quant.dataset import Dataset, read_dataset
from quant.deciding import Progress, Sizes, Work, decide
from quant.equalization import equalize
from quant.error_bound import bound_errors
from quant.errors import ExportError, LargeModel
from quant.evaluation import evaluate
from quant.expected_inputs import Normal, batchnorm_promises, expected_moments, rescaled
from quant.export.compact import compact
from quant.gates import GateResult, Verdict, check_gates, junit_xml, verdict
from quant.graph.normalise import normalise
from quant.graph.placement import place
from quant.graph.source import FloatModel, open_model
from quant.layers import choose_layers, needs_moments
from quant.layerwise import most_at_once, quantize_layerwise, whole_for
from quant.manifest import Stored, manifest_json, stamp, write
from quant.observation import Observer, OutputRecorder, observe
from quant.report import layer_report, model_report, report_html, report_json
from quant.result import Energies, Result, samples_used
from quant.runtime import Session, loaded_and_counted
from quant.second_moments import MomentObserver
from quant.spec import Spec, require_data, resolve
from quant.tuning import Setting

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

    summary: dict[str, Any]
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
    roles = {"model": inputs.model, "calibration": inputs.calibration, "evaluation": inputs.evaluation}
    with (
        tempfile.TemporaryDirectory() as scratch,  # external data is mapped from there to the end
        ThreadPoolExecutor(1) as beside,  # digests need a core of their own, and nobody before the end
    ):
        given = {role: beside.submit(Stored.read, path) for role, path in roles.items() if path is not None}
        return _quantize(inputs, given, out, Path(scratch), progress, log)


def _quantize(
    inputs: Inputs, given: Mapping[str, Future[Stored]], out: Path, scratch: Path, progress: Progress, log: Log
) -> Outcome:
    started = time.perf_counter()
    spec = resolve(inputs.spec)
    require_data(spec, calibration=inputs.calibration is not None, evaluation=inputs.evaluation is not None)

    progress("loading", 0, 1, inputs.name)
    wants = whole_for(spec, given)
    most = most_at_once(wants)
    source = open_model(inputs.model, scratch, spec.torchscript.inputs, most)
    if source.size <= most:
        result = _quantize_whole(source, inputs, spec, out, given["model"].result().sha256, progress)
    elif wants:
        raise LargeModel(
            f"{' and '.join(wants)}, which is for models of at most {most} bytes, and the model has {source.size}; "
            "accepted: a *-weights preset without calibration data and without a budget"
        )
    else:
        evaluation = read_dataset(inputs.evaluation, source.model) if inputs.evaluation else None
        result = quantize_layerwise(source, evaluation, spec, out, given["model"].result().sha256, progress)

    progress("storing", 0, 1, "report.json")
    for left in result.skipped:
        log("info", f"{left.name} ({left.op}) is left as it is: {left.reason}")
    for warning in result.warnings:
        log("warning", warning)
    summary = result.summary(source.size)
    gates = check_gates(spec.gates, summary, result.entries)
    report = model_report(summary, result, spec)
    documents = {
        "report.json": report_json(report),
        "report.html": report_html(report, inputs.name, gates),
        "gates.junit.xml": junit_xml(gates),
    }
    files = result.files | {name: write(out / name, data) for name, data in documents.items()}
    uploads = {role: stored.result() for role, stored in given.items()}
    write(out / "manifest.json", manifest_json(uploads, spec, files, inputs.isolation))
    summary["seconds"] = time.perf_counter() - started
    return Outcome(summary, verdict(gates), gates, result.seconds)


def _quantize_whole(
    source: FloatModel, inputs: Inputs, spec: Spec, out: Path, origin: str, progress: Progress
) -> Result:
    """The way of a model that ONNX Runtime can run here, before and after."""
    model = source.model
    calibration = read_dataset(inputs.calibration, model) if inputs.calibration else None
    evaluation = read_dataset(inputs.evaluation, model) if inputs.evaluation else None
    Session(source.reference)  # what cannot be loaded is refused first

    progress("normalising", 0, 1, inputs.name)
    promises = batchnorm_promises(model)
    given = calibration or evaluation
    model = normalise(model, spec.export.opset, next(given.batches()) if given else None)
    if spec.equalization == "cross_layer":
        promises = rescaled(promises, equalize(model))
        if spec.activations is not None:
            promises = absorb_biases(model, promises)
    work, skipped = choose_layers(model, spec)
    setting = _setting(model, work, calibration, spec, promises, progress)

    def exported_bytes(made: ir.Model) -> bytes:
        if spec.allocates:
            compact(made, {layer.name for layer, _ in work})
        return stamp(made, spec, origin)

    decision = decide(setting, work, Sizes(source.size, lambda made: len(exported_bytes(made))), progress)

    bounds = None
    if calibration is not None and decision.tuned is not None:
        ranges = decision.tuned.kept.ranges
        bounds = bound_errors(setting.model, decision.model, decision.layers, ranges, calibration)
    progress("exporting", 0, 1, "model.onnx")
    exported = exported_bytes(decision.model)
    assert decision.max_bytes is None or len(exported) <= decision.max_bytes, "the budget was decided on this size"
    quantized, operators = loaded_and_counted(exported, "the quantized model", ExportError)
    outputs = None
    if evaluation is not None:
        reference = Session(source.reference)
        expected = (reference.run(feeds) for feeds in evaluation.batches())
        outputs = evaluate(expected, quantized, evaluation, _samples(progress, "evaluating"))
    elif calibration is not None:
        quantized.run(next(calibration.batches()))
    return Result(
        files={"model.onnx": write(out / "model.onnx", exported)},
        entries=[layer_report(done, spec.export.opset, decision.tuned, bounds) for done in decision.layers],
        seconds={done.layer.name: done.seconds for done in decision.layers},
        skipped=skipped,
        weights=reduce(Energies.plus, (done.quantized.errors for done in decision.layers), Energies()),
        warnings=[*_warnings(operators["DequantizeLinear(weight)"]), *decision.warnings],
        samples=samples_used(calibration, evaluation),
        outputs=outputs,
        decision=decision,
        bounds=bounds,
    )


def _setting(
    model: ir.Model,
    work: Work,
    calibration: Dataset | None,
    spec: Spec,
    promises: Mapping[str, Normal],
    progress: Progress,
) -> Setting:
    """What all decisions rest on: the moments of the layers' inputs, and the activations' ranges."""
    data_free = calibration is None or spec.bias_correction == "data_free"
    expected = expected_moments(model, [layer for layer, _ in work], promises) if data_free else {}
    if calibration is None:
        return Setting(model, {}, None, spec, expected, expected)
    setting = Setting(model, {}, calibration, spec, expected, {})
    looking = [
        (layer, section.rounding.needs_moments or spec.allocates)
        for layer, section in work
        if needs_moments(section) or spec.allocates
    ]
    moments = MomentObserver(model, looking, setting.fitting)
    outputs = OutputRecorder(model, setting.held_out)
    observers: list[Observer] = [moments] if moments.names else []
    if spec.activations is not None:
        placement = place(model.graph, [layer for layer, _ in work if layer.float_only is None])
        seen = RangeObserver(model.graph, placement.observed, spec.activations)
        observers.append(seen)
    if observers:
        observe(model, calibration, [*observers, outputs], _samples(progress, "calibrating"))
    setting = replace(setting, moments=moments.moments(), recorded=outputs.kept)
    if spec.activations is None:
        return setting
    first, *others = ((rule, tie(ranges, placement.ties)) for rule, ranges in seen.ranges().items())
    return replace(setting, ranges=first[1], other_ranges=dict(others))


def _samples(progress: Progress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(stage, done, total, f"{done} of {total} samples")


def _warnings(left: int) -> list[str]:
    """What its owner should know of the weights that are left to dequantize in the optimised graph."""
    if not left:
        return []
    return [f"{left} weights are dequantized at every inference: ONNX Runtime has no integer kernel for them"]
