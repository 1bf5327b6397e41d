"""The way of a job whose model is too large to be held: every layer is read, quantized, appended to a file, dropped."""

import resource
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from quant.data.dataset import Dataset
from quant.digests import write
from quant.equalization.cross_layer import equalize
from quant.errors import ExportError
from quant.evaluation.compare import evaluate
from quant.export.data_file import DataFile
from quant.export.qdq import ExportedWeight, replace_weight, tidy
from quant.export.serialize import stamp
from quant.graph.load.source import FloatModel
from quant.graph.normalise.normalise import normalise
from quant.outcome import artifacts
from quant.outcome.stages import Stage
from quant.progress import Progress
from quant.report.report import layer_report
from quant.report.result import Result, SignalAndNoise, samples_used
from quant.runtime import Session
from quant.search.decide import Work
from quant.spec import Spec
from quant.weights.chunked import quantize_in_parts
from quant.weights.layers import choose_layers, loops_pay

ABOVE = 1_500_000_000
"""Bytes of a float model that is quantized layer by layer, unless all of it is needed at once."""
PROTOBUF = 2**31 - 1
"""Bytes of the largest model that can be one message, as whatever runs it here must be."""
TIMES, BESIDES, LEAST = 6, 700_000_000, 1 << 24
"""Of the address space a model that is quantized as a whole takes so many times its size and so many bytes beside it;
a model of the least is never more than any of the rest."""
MODEL, DATA = artifacts.MODEL.name, artifacts.MODEL_DATA.name
NOT_RUN = (
    "the model is too large to be run where it was quantized: onnx's checker has seen the result, ONNX Runtime has not"
)
APART = "each layer's distribution is that of all its weights together, and no bias was corrected"


def whole_model_reasons(spec: Spec, given: Container[str]) -> list[str]:
    """What of a job needs the whole model at once, by the roles of the data that was given and by the spec."""
    asked = {"calibration data is given": "calibration" in given, "bits are to be allocated": spec.allocates}
    return [reason for reason, holds in asked.items() if holds]


def max_whole_bytes(wants: Sequence[str]) -> int:
    """Bytes of the largest float model that is quantized as a whole: where that is not needed, one for which there is
    room under the process's limit."""
    if wants:
        return PROTOBUF
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return ABOVE
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return max(min(ABOVE, (limit - used - BESIDES) // TIMES), LEAST)


def quantize_layerwise(
    source: FloatModel, evaluation: Dataset | None, spec: Spec, out: Path, origin: str, progress: Progress
) -> Result:
    """Quantize the weights without data; writes model.onnx and model.onnx.data to `out`.

    Memory is taken for a layer at a time, but for an evaluation, which maps both models; `origin` is the SHA-256 of
    the upload.

    Raises:
        ModelError: the model cannot be brought to the form that layers are found in, or a weight is not finite.
        ExportError: onnx's checker refuses what was made, or it does not run on the evaluation data.
    """
    opset = spec.export.opset
    reference = Session(source.reference, mapped=True) if evaluation else None
    progress(Stage.NORMALISING, 0, 1, MODEL)
    model = normalise(source.model, opset, compare=False)
    if spec.equalization == "cross_layer":
        equalize(model)
    work, skipped = choose_layers(model, spec)
    with DataFile(out / DATA) as data:
        entries, seconds, energies = _move_layers(work, spec, data, progress)
        progress(Stage.EXPORTING, 0, 1, MODEL)
        tidy(model)
        for graph in (model.graph, *model.graph.subgraphs()):
            data.move(graph.initializers.values())
    files = {MODEL: write(out / MODEL, stamp(model, spec, origin)), DATA: data.stored}
    _check(out / MODEL)
    outputs = None
    if evaluation is not None and reference is not None:
        quantized = Session(out / MODEL, "the quantized model", ExportError)
        outputs = evaluate(
            (reference.run(feeds) for feeds in evaluation.batches()),
            quantized,
            evaluation,
            lambda done, total: progress(Stage.EVALUATING, done, total, MODEL),
        )
    warnings = [NOT_RUN, APART] if outputs is None else [APART]
    return Result(files, entries, seconds, skipped, energies, warnings, samples_used(None, evaluation), outputs)


def _move_layers(
    work: Work, spec: Spec, data: DataFile, progress: Progress
) -> tuple[list[dict[str, Any]], dict[str, float], SignalAndNoise]:
    """Quantize each layer, and move its codes to the file; what the report says of them."""
    compiled, opset = loops_pay(work), spec.export.opset
    entries, seconds, energies = [], {}, SignalAndNoise()
    stored: dict[tuple[object, ...], ir.Value] = {}
    for number, (layer, section) in enumerate(work):
        progress(Stage.QUANTIZING, number, len(work), layer.name)
        done = quantize_in_parts(layer, section, spec, compiled)
        entries.append(layer_report(done, opset))
        seconds[layer.name] = done.seconds
        energies = energies.plus(done.quantized.errors)
        graph = layer.graph
        known = set(graph.initializers)
        replace_weight(ExportedWeight(layer, done.quantized, done.form), stored, opset)
        data.move(value for name, value in graph.initializers.items() if name not in known)
    return entries, seconds, energies


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise ExportError(f"onnx's checker refuses the quantized model: {reason}") from None
