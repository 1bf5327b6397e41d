"""The way of a job: load -> normalise -> fit and quantize -> calibrate -> export -> evaluate -> report."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from quant.calibration import ActivationRange, RangeObserver, tie
from quant.dataset import Dataset, read_dataset
from quant.deciding import Progress, Sizes, Work, decide
from quant.equalization import equalize
from quant.error_bound import bound_errors
from quant.errors import ExportError
from quant.evaluation import UNMEASURED, evaluate
from quant.expected_inputs import Normal, batchnorm_promises, expected_moments, rescaled
from quant.export.compact import compact
from quant.gates import GateResult, Verdict, check_gates, junit_xml, verdict
from quant.graph.inventory import Skipped
from quant.graph.normalise import normalise
from quant.graph.placement import place
from quant.graph.source import open_model
from quant.layers import QuantizedLayer, choose_layers, needs_moments
from quant.manifest import manifest_json, stamp
from quant.metrics import OutputComparison, sqnr_db
from quant.observation import Observer, OutputRecorder, observe
from quant.report import layer_report, model_report, report_html, report_json
from quant.runtime import Session, optimised_operators
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

    Raises:
        QuantdError: anything a caller can act on; see `quant.errors`.
    """
    with tempfile.TemporaryDirectory() as scratch:  # external data is mapped from there to the end
        return _quantize(inputs, out, Path(scratch), progress, log)


def _quantize(inputs: Inputs, out: Path, scratch: Path, progress: Progress, log: Log) -> Outcome:
    started = time.perf_counter()
    spec = resolve(inputs.spec)
    require_data(spec, calibration=inputs.calibration is not None, evaluation=inputs.evaluation is not None)

    progress("loading", 0, 1, inputs.name)
    source = open_model(inputs.model, scratch, spec.torchscript.inputs)
    model = source.model
    calibration = read_dataset(inputs.calibration, model) if inputs.calibration else None
    evaluation = read_dataset(inputs.evaluation, model) if inputs.evaluation else None
    reference = Session(source.reference)

    progress("normalising", 0, 1, inputs.name)
    promises = batchnorm_promises(model)
    given = calibration or evaluation
    model = normalise(model, spec.export.opset, next(given.batches()) if given else None)
    if spec.equalization == "cross_layer":
        promises = rescaled(promises, equalize(model))
    work, skipped = choose_layers(model, spec)
    for left in skipped:
        log("info", f"{left.name} ({left.op}) is left as it is: {left.reason}")
    setting = _setting(model, work, calibration, spec, promises, progress)

    def exported_bytes(made: ir.Model) -> bytes:
        if spec.allocates:
            compact(made, {layer.name for layer, _ in work})
        return stamp(made, spec, inputs.model)

    decision = decide(setting, work, Sizes(source.size, lambda made: len(exported_bytes(made))), progress)
    layers, tuned = decision.layers, decision.tuned

    bounds = None
    if calibration is not None:
        bounds = bound_errors(setting.model, decision.model, layers, setting.ranges, calibration)
    progress("exporting", 0, 1, "model.onnx")
    exported = exported_bytes(decision.model)
    assert decision.max_bytes is None or len(exported) <= decision.max_bytes, "the budget was decided on this size"
    quantized = Session(exported, "the quantized model", ExportError)
    outputs = None
    if evaluation is not None:
        expected = (reference.run(feeds) for feeds in evaluation.batches())
        outputs = evaluate(expected, quantized, evaluation, _samples(progress, "evaluating"))
    elif calibration is not None:
        quantized.run(next(calibration.batches()))

    progress("storing", 0, 1, "report.json")
    entries = [layer_report(done, spec.export.opset, tuned, bounds) for done in layers]
    summary = _summary(source.size, exported, layers, skipped, outputs)
    gates = check_gates(spec.gates, summary, entries)
    warnings = [*_warnings(exported), *decision.warnings]
    for warning in warnings:
        log("warning", warning)
    used = _used(calibration, evaluation)
    report = model_report(summary, entries, skipped, used, warnings, spec, decision, bounds, outputs)
    artifacts = {
        "model.onnx": exported,
        "report.json": report_json(report),
        "report.html": report_html(report, inputs.name, gates),
        "gates.junit.xml": junit_xml(gates),
    }
    roles = {"model": inputs.model, "calibration": inputs.calibration, "evaluation": inputs.evaluation}
    artifacts["manifest.json"] = manifest_json(roles, spec, artifacts, inputs.isolation)
    for name, data in artifacts.items():
        (out / name).write_bytes(data)
    summary["seconds"] = time.perf_counter() - started
    return Outcome(summary, verdict(gates), gates, {done.layer.name: done.seconds for done in layers})


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
        (layer, section.rounding.needs_data or spec.allocates)
        for layer, section in work
        if needs_moments(section) or spec.allocates
    ]
    moments = MomentObserver(model, looking, setting.fitting)
    outputs = OutputRecorder(model, setting.held_out)
    observers: list[Observer] = [moments] if moments.names else []
    ranges: Mapping[str, ActivationRange] = {}
    if spec.activations is not None:
        placement = place(model.graph, [layer for layer, _ in work if layer.float_only is None])
        seen = RangeObserver(placement.observed, spec.activations)
        observers.append(seen)
    if observers:
        observe(model, calibration, [*observers, outputs], _samples(progress, "calibrating"))
    if spec.activations is not None:
        ranges = tie(seen.ranges(), placement.ties)
    return replace(setting, ranges=ranges, moments=moments.moments(), recorded=outputs.kept)


def _samples(progress: Progress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(stage, done, total, f"{done} of {total} samples")


def _summary(
    bytes_before: int,
    exported: bytes,
    layers: Sequence[QuantizedLayer],
    skipped: Sequence[Skipped],
    outputs: OutputComparison | None,
) -> dict[str, Any]:
    """CONTRACT's summary; `weight_sqnr_db` is over all quantized weights together, `seconds` stays None here."""
    errors = [done.quantized.errors for done in layers]
    signal, noise = (sum(float(getattr(one, what).sum()) for one in errors) for what in ("energy", "square"))
    return {
        "bytes_before": bytes_before,
        "bytes_after": len(exported),
        "size_ratio": len(exported) / bytes_before,
        "layers": len(layers) + len(skipped),
        "quantized_layers": len(layers),
        "weight_sqnr_db": sqnr_db(signal, noise),
        **(UNMEASURED if outputs is None else outputs.figures()),
        "seconds": None,
    }


def _used(calibration: Dataset | None, evaluation: Dataset | None) -> dict[str, Any]:
    """Which samples calibrated and which evaluated: the first `used` of each set."""
    return {
        role: None if data is None else {"given": data.samples, "used": data.used, "batch": data.batch}
        for role, data in (("calibration", calibration), ("evaluation", evaluation))
    }


def _warnings(exported: bytes) -> list[str]:
    """What the optimised graph shows that its owner should know."""
    left = optimised_operators(exported)["DequantizeLinear(weight)"]
    if not left:
        return []
    return [f"{left} weights are dequantized at every inference: ONNX Runtime has no integer kernel for them"]
