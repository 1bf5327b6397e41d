"""The plan of a job: its layers, their forms and kernels, and the expected size and weight error, without data."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quant.data.read_sequences import check_states
from quant.errors import DataRequired, ExportError
from quant.export.storage import storage_notes, stored_bytes
from quant.graph.executed_names import executed_names
from quant.graph.inventory import Layer, inventory
from quant.inputs import Inputs
from quant.layerwise import MAX_MESSAGE_BYTES, whole_model_reasons
from quant.lint.lint import lint, texts
from quant.outcome.plan import FileSize, Form, Plan, PlannedLayer, PresetSize, SizeBasis, WeightSqnr
from quant.outcome.report.sections import SkippedNode, TargetFinding
from quant.outcome.stages import Stage
from quant.plan.kernels import expected_kernel, kernels
from quant.plan.large import size_by_sum
from quant.plan.opening import FloatGraph, float_graph, onnx_file
from quant.plan.planned_weights import PlannedWeights, WeightPlanner
from quant.plan.sampled_weights import SampledWeight, total_sqnr
from quant.plan.spec_text import editable_spec, spec_document
from quant.progress import Progress, stage_progress
from quant.report.dequantized import dequantized_warnings
from quant.runtime import executed_graph
from quant.search.context import compares_dynamic
from quant.search.reconstruction import RUNS as RECONSTRUCTION_RUNS
from quant.search.variants import Variant, form_variants
from quant.spec import PRESETS, Spec, require_data, resolve
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import StorageForm, has_static_range

NOT_READ = "the model is too large to be held as a whole, and a plan reads none of its weights"
_FORMS: Mapping[StorageForm, Form] = {
    StorageForm.INTEGER: "integer",
    StorageForm.DYNAMIC: "dynamic",
    StorageForm.MATMUL_NBITS: "matmul_nbits",
    StorageForm.FOLDED: "folded",
    StorageForm.DIRECT: "direct",
}


@dataclass(frozen=True)
class _Executed:
    """The kernels of the layers by name, warnings about them, and what the target machine does not take."""

    kernels: Mapping[str, str]
    warnings: Sequence[str] = ()
    target: tuple[TargetFinding, ...] = ()


def plan_model(inputs: Inputs, progress: Progress) -> Plan:
    """Return the plan of a job; no data is needed, and the model is not quantized.

    1. Load and normalise the model as a job does (`quant.plan.opening`).
    2. Choose the layers, and fit and quantize a sample of their weights, by the spec and by every preset
       (`quant.plan.planned_weights`).
    3. Write the file with placeholders for the codes, for its size, and load it for its kernels
       (`quant.plan.structure`, `quant.plan.kernels`).

    No weight of a model is read that is too large to be held as a whole.

    Args:
        inputs: the model, its name and the spec; data sets are not read.
        progress: receives the stages and their steps.

    Raises:
        QuantdError: a job would be refused for the same reason.
    """
    spec = resolve(inputs.spec)
    with tempfile.TemporaryDirectory() as scratch:
        progress(Stage.LOADING, 0, 1, inputs.name)
        file = onnx_file(inputs.model, inputs.name, Path(scratch), spec.torchscript.inputs)
        progress(Stage.NORMALISING, 0, 1, inputs.name)
        graph = float_graph(file, Path(scratch), spec.export.opset)
        check_states(spec.states, graph.model)
        planner = WeightPlanner(Variant("", graph.model, graph.normals), sampled=graph.whole)
        weights = _planner_of(spec, graph, planner).plan(spec, stage_progress(progress, Stage.FITTING))
        progress(Stage.EXPORTING, 0, 1, inputs.name)
        size, executed = _size_and_kernels(graph, weights)
        presets = tuple(_presets(graph, spec, planner))
    layers = _layers(weights, executed.kernels)
    return Plan(
        model=file.description,
        spec=spec_document(spec),
        spec_yaml=editable_spec(spec, layers),
        needs_calibration=_needs_calibration(spec),
        needs_evaluation=any(gate.needs_evaluation for gate, _ in spec.gates.requested()),
        size=size,
        weight=_total(weights),
        layers=layers,
        skipped=tuple(SkippedNode(name=node.name, op=node.op, reason=node.reason) for node in weights.skipped),
        presets=presets,
        target=executed.target,
        warnings=(*_warnings(graph, spec, weights), *executed.warnings, *texts(executed.target, spec.export.target)),
    )


def _planner_of(spec: Spec, graph: FloatGraph, planner: WeightPlanner) -> WeightPlanner:
    """Return the planner of the model that the spec quantizes: as it is, or with equalized channels."""
    if spec.equalization != "cross_layer" or not graph.whole:
        return planner
    (variant,) = form_variants(graph.model.clone(), graph.normals, spec, calibrated=False)
    return WeightPlanner(variant, sampled=True)


def _presets(graph: FloatGraph, spec: Spec, planner: WeightPlanner) -> Iterator[PresetSize]:
    """Yield the size and the error of the model with each preset, without the layers that the spec skips."""
    skips = [rule.model_dump(mode="json", include={"match", "skip"}) for rule in spec.layers]
    for name in PRESETS:
        preset = resolve({"preset": name, "layers": skips})
        weights = planner.plan(preset, lambda *_: None)
        yield PresetSize(
            preset=name,
            size=_file_size(graph, weights, weights.file() if graph.whole else None),
            weight=_total(weights),
            needs_calibration=_needs_calibration(preset),
        )


def _size_and_kernels(graph: FloatGraph, weights: PlannedWeights) -> tuple[FileSize, _Executed]:
    """Return the size of the file, and the kernels that ONNX Runtime computes its layers with."""
    expected = {layer.layer.name: expected_kernel(layer) for layer in weights.layers}
    if not graph.whole:
        return _file_size(graph, weights, None), _Executed(expected)
    file = weights.file()
    try:
        executed = executed_graph(file, "the quantized model", ExportError)
    except ExportError as error:
        return _file_size(graph, weights, file), _Executed(expected, [error.detail])
    actual = kernels(weights.layers, executed, executed_names(weights.model))
    warnings = dequantized_warnings(weights.layers, executed.dequantized)
    target = lint(file, weights.spec.export.target, placeholders=True)
    return _file_size(graph, weights, file), _Executed(actual, warnings, target)


def _file_size(graph: FloatGraph, weights: PlannedWeights, file: bytes | None) -> FileSize:
    """Return the size of a quantized model, of its file with placeholders where there is one."""
    before, spec = graph.bytes_before, weights.spec
    after = size_by_sum(graph.model, weights.layers, spec.export.opset) if file is None else len(file)
    if spec.allocates:
        after = _limit(weights, before, after)
        return FileSize(bytes_before=before, bytes_after=after, size_ratio=after / before, basis="limit")
    same = spec.activations is None and spec.keep_float == "none" and spec.bias_correction != "auto"
    basis: SizeBasis = "sum" if file is None else "exact" if same else "structure"
    return FileSize(bytes_before=before, bytes_after=after, size_ratio=after / before, basis=basis)


def _limit(weights: PlannedWeights, before: int, planned: int) -> int:
    """Return the size in bytes that a search for formats keeps: the budget, or that of the planned file without one.

    Args:
        weights: the planned weights.
        before: the size of the float model.
        planned: the size of the file with the planned weights.
    """
    budget = weights.spec.budget
    if budget is None:
        return planned
    if budget.mean_bits is None:
        return budget.limit(before)
    free = {
        layer.layer.weight_name: layer
        for layer in weights.layers
        if not weights.spec.bits_are_given(layer.layer.name, layer.layer.op)
    }
    bits = sum(layer.layer.size * (budget.mean_bits - layer.quantized.bits) for layer in free.values())
    return planned + int(bits / 8)


def _layers(weights: PlannedWeights, kernel_of: Mapping[str, str]) -> tuple[PlannedLayer, ...]:
    """Return the plan's entry for each layer."""
    opset = weights.spec.export.opset
    samples: Sequence[SampledWeight | None] = weights.samples or [None] * len(weights.layers)
    return tuple(
        _layer(layer, sample, kernel_of[layer.layer.name], opset)
        for layer, sample in zip(weights.layers, samples, strict=True)
    )


def _layer(quantized: QuantizedLayer, sample: SampledWeight | None, kernel: str, opset: int) -> PlannedLayer:
    """Return the plan's entry for one layer; `sample` is None for a weight that is not read."""
    layer, section, weight = quantized.layer, quantized.spec, quantized.quantized
    return PlannedLayer(
        name=layer.name,
        op=layer.op,
        weight_shape=layer.shape,
        parameters=layer.size,
        bits=weight.bits,
        granularity=section.granularity,
        block_size=weight.block or None,
        grid=section.grid.name,
        clipping=section.clipping.name,
        form=_FORMS[quantized.form],
        kernel=kernel,
        distribution={} if sample is None else dict(sorted(Counter(sample.fitted.fit.family).items())),
        weight=_not_read([layer]) if sample is None else total_sqnr([sample]),
        bytes_before=4 * layer.size,
        bytes_after=stored_bytes(weight, quantized.form, opset),
        notes=(*quantized.notes, *storage_notes(weight.bits, quantized.form, opset)),
    )


def _total(weights: PlannedWeights) -> WeightSqnr:
    """Return the error over all weights."""
    if weights.samples or not weights.layers:
        return total_sqnr(weights.samples)
    return _not_read([layer.layer for layer in weights.layers])


def _not_read(layers: Sequence[Layer]) -> WeightSqnr:
    """Return the missing error of weights that are not read."""
    channels = sum(layer.shape[layer.axis] for layer in layers)
    return WeightSqnr(sqnr_db=None, expected_sqnr_db=None, channels=0, of_channels=channels, reason=NOT_READ)


def _needs_calibration(spec: Spec) -> bool:
    """Return True if no job can run by this spec without calibration data."""
    try:
        require_data(spec, calibration=False, evaluation=True)
    except DataRequired:
        return True
    return False


def _warnings(graph: FloatGraph, spec: Spec, weights: PlannedWeights) -> Iterator[str]:
    """Yield what a job decides otherwise than the plan."""
    if not graph.whole:
        yield f"{NOT_READ}; without calibration data, a job quantizes it layer by layer"
    reasons = whole_model_reasons(spec, calibrated=_needs_calibration(spec))
    if reasons and graph.bytes_before > MAX_MESSAGE_BYTES:
        limit = f"which is for models of at most {MAX_MESSAGE_BYTES} bytes"
        yield f"a job is refused: {' and '.join(reasons)}, {limit}; accepted: a *-weights preset without a budget"
    if spec.allocates:
        aim = "so few that the gates still pass" if spec.budget is None else "by their error, within the budget"
        yield f"a job chooses 2 to 8 bits and a grid for each layer, {aim}; the plan shows the bits of the spec"
    mode = "static" if spec.activations is None else spec.activations.mode
    if compares_dynamic([layer.layer for layer in weights.layers], spec):
        yield "a job also compares dynamic ranges of the inputs of MatMul and Gemm; the plan has static ones"
    if mode == "dynamic" and any(has_static_range(layer, spec) for layer in inventory(graph.model)[0]):
        yield "without calibration data, a job computes in float what has static ranges in the plan"
    if spec.equalization == "auto":
        yield "a job with calibration data also quantizes an equalized model, and keeps the better one"
    sections = [spec.weights_for(layer.layer.name, layer.layer.op) for layer in weights.layers]
    again = sum(section is not None and section.rounding.reconstructs for section in sections)
    if again:
        runs = min(RECONSTRUCTION_RUNS, again)
        yield f"rounding: reconstruct takes a job up to {runs} more float runs over the calibration set"
    if spec.keep_float == "slower":
        yield "a job leaves the layers in float that it measures to run slower quantized; the plan measures no time"
