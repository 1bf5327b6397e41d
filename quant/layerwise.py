"""Quantization of a model that is too large to hold: each layer is read, quantized, appended to a file and dropped."""

import resource
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from quant.calibration.data_checks import CheckedData, check_data
from quant.data.dataset import Dataset
from quant.data.findings import texts
from quant.deadline import UNLIMITED, Deadline
from quant.digests import write
from quant.equalization.cross_layer import equalize
from quant.errors import ExportError
from quant.evaluation.compare import evaluate
from quant.evaluation.metrics import OutputComparison
from quant.export.data_file import DataFile
from quant.export.followers import rewrite_followers
from quant.export.qdq import ExportedWeight, replace_weight, tidy
from quant.export.serialize import stamp
from quant.graph.load.source import FloatModel
from quant.graph.names import Names
from quant.graph.normalise.normalise import normalise
from quant.graph.random_values import random_tensors
from quant.graph.signature import require_signature
from quant.outcome import artifacts
from quant.outcome.report.layer import LayerEntry
from quant.outcome.stages import Stage
from quant.progress import Progress
from quant.report.layer_entry import layer_report
from quant.report.result import Result, SignalAndNoise, samples_used
from quant.runtime import Session
from quant.search.context import Work
from quant.spec import Spec
from quant.weights.chunked import quantize_in_parts
from quant.weights.layers import choose_layers, loops_pay, without_search
from quant.weights.storage_form import storage_form

MAX_WHOLE_BYTES = 1_500_000_000
"""Bytes of the largest float model that is quantized as a whole, unless the job needs all of a larger one at once."""
MAX_MESSAGE_BYTES = 2**31 - 1
"""Bytes of the largest protobuf message. A model that has to run here must be one message."""
MEMORY_FACTOR, MEMORY_BASE = 6, 700_000_000
"""The address space in bytes that quantizing a whole model takes: its size times the factor, plus the base."""
MIN_WHOLE_BYTES = 1 << 24
"""Bytes of a model that is quantized as a whole under any memory limit."""
MODEL, DATA = artifacts.MODEL.name, artifacts.MODEL_DATA.name
NOT_RUN = (
    "the quantized model was checked by onnx's checker but not run by ONNX Runtime, because it is too large to be run "
    "where it was quantized"
)
FITTED_WHOLE = "each layer's distribution was fitted to all of its weights together, and no bias was corrected"


def whole_model_reasons(spec: Spec, *, calibrated: bool) -> list[str]:
    """Return what the job asks for that needs the whole model at once, as text; `calibrated` with calibration data."""
    needs = {
        "calibration data is given": calibrated,
        "bits are to be allocated": spec.allocates,
        "layers are to be timed (keep_float: slower)": spec.keep_float == "slower",
        "the opset or the IR version is limited": spec.export.has_ceiling,
        "floats are to be stored as float16": spec.export.float_storage == "fp16" or spec.precision == "fp16",
    }
    return [reason for reason, needed in needs.items() if needed]


def max_whole_bytes(reasons: Sequence[str]) -> int:
    """Return the bytes of the largest float model that is quantized as a whole.

    With `reasons` to need the whole model it is the largest message, otherwise what fits in the process's memory.
    """
    if reasons:
        return MAX_MESSAGE_BYTES
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return MAX_WHOLE_BYTES
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return max(min(MAX_WHOLE_BYTES, (limit - used - MEMORY_BASE) // MEMORY_FACTOR), MIN_WHOLE_BYTES)


def quantize_layerwise(
    source: FloatModel,
    evaluation: Dataset | None,
    spec: Spec,
    out: Path,
    source_sha256: str,
    progress: Progress,
    deadline: Deadline = UNLIMITED,
) -> Result:
    """Quantize the weights without data and write model.onnx and model.onnx.data to `out`.

    1. Normalise the graph, without running it, and equalize its channels if the spec says so.
    2. Read, fit, clip, round and write the weights, one layer after the other.
    3. Export: write the remaining large tensors and the graph, which onnx's checker then checks.
    4. Evaluate, where there is evaluation data, with both models mapped from their files.

    Memory is taken for one layer at a time, except in step 4. `source_sha256` is the digest of the upload. After the
    deadline, the remaining weights are neither clipped nor rounded by a search.

    Raises:
        ModelError: the model cannot be normalised, or a weight is not finite.
        ExportError: onnx's checker refuses the quantized model, its inputs or outputs differ from the float model's, or
            it does not run on the evaluation data.
    """
    reference = Session(source.reference, mapped=True) if evaluation else None
    checked = check_data(reference, None, evaluation, spec) if reference else CheckedData(None, None)
    evaluation, findings = checked.evaluation, checked.findings
    progress(Stage.NORMALISING, 0, 1, MODEL)
    model = normalise(source.model, spec.export.opset, compare=False)
    if spec.equalization == "cross_layer":
        equalize(model)
    work, skipped = choose_layers(model, spec, calibrated=False)
    names = Names.of(model.graph)
    rewrite_followers(model, [(layer, storage_form(layer, section, spec)) for layer, section in work], (), names)
    with DataFile(out / DATA) as data:
        entries, seconds, energies = _quantize_layers(work, spec, data, names, progress, deadline)
        progress(Stage.EXPORTING, 0, 1, MODEL)
        tidy(model)
        for graph in (model.graph, *model.graph.subgraphs()):
            data.move(graph.initializers.values())
    require_signature(model, source.signature)
    files = {MODEL: write(out / MODEL, stamp(model, spec, source_sha256)), DATA: data.digest}
    _check(out / MODEL)
    outputs, warnings = None, [NOT_RUN, FITTED_WHOLE]
    if evaluation is not None and reference is not None:
        random = random_tensors(model.graph)
        outputs, warnings = _evaluate(reference, out / MODEL, evaluation, random, spec, progress), [FITTED_WHOLE]
    warnings = [*warnings, *texts(findings)]
    samples = samples_used(None, evaluation)
    return Result(files, entries, seconds, skipped, energies, warnings, samples, outputs, findings=findings)


def _quantize_layers(
    work: Work, spec: Spec, data: DataFile, names: Names, progress: Progress, deadline: Deadline
) -> tuple[list[LayerEntry], dict[str, float], SignalAndNoise]:
    """Quantize each layer and move its codes to the data file.

    Returns:
        The report's entries, the seconds by the layer's name, and the energies over all weights.
    """
    compiled, opset = loops_pay(work), spec.export.opset
    entries: list[LayerEntry] = []
    seconds: dict[str, float] = {}
    energies = SignalAndNoise()
    stored: dict[tuple[object, ...], ir.Value] = {}
    for number, (layer, section) in enumerate(work):
        progress(Stage.QUANTIZING, number, len(work), layer.name)
        if deadline.skips("the clip bounds of a part of the layers"):
            section = without_search(section)
        quantized = quantize_in_parts(layer, section, spec, compiled)
        entries.append(layer_report(quantized, spec))
        seconds[layer.name] = quantized.seconds
        energies = energies.plus(quantized.quantized.errors)
        graph = layer.graph
        known = set(graph.initializers)
        replace_weight(ExportedWeight(layer, quantized.quantized, quantized.form), stored, opset, names)
        data.move(value for name, value in graph.initializers.items() if name not in known)
    return entries, seconds, energies


def _check(path: Path) -> None:
    """Run onnx's checker over the exported model.

    Raises:
        ExportError: the checker refuses it.
    """
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise ExportError(f"onnx's checker refuses the quantized model: {reason}") from None


def _evaluate(
    reference: Session, path: Path, evaluation: Dataset, random: frozenset[str], spec: Spec, progress: Progress
) -> OutputComparison:
    """Return the comparison of the exported model's outputs with the float model's."""
    quantized = Session(path, "the quantized model", ExportError)
    expected = (reference.run(feeds) for feeds in evaluation.batches())
    return evaluate(
        expected,
        quantized,
        evaluation,
        lambda completed, total: progress(Stage.EVALUATING, completed, total, MODEL),
        random,
        spec=spec,
        with_tasks=True,
    )
