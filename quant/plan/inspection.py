"""The inspection of a model: what its file holds, and what quantd could quantize of it."""

import tempfile
from pathlib import Path

import onnx_ir as ir

from quant.errors import QuantdError
from quant.graph.inventory import Layer, inventory
from quant.inputs import Inputs
from quant.outcome.plan import InspectedLayer, Inspection, Refusal
from quant.outcome.report.sections import SkippedNode
from quant.outcome.stages import Stage
from quant.plan.opening import OnnxFile, float_graph, onnx_file
from quant.progress import Progress
from quant.spec import Spec, resolve
from quant.weights.layers import choose_layers


def inspect_model(inputs: Inputs, progress: Progress) -> Inspection:
    """Return what a model file holds, and its layers that can be quantized.

    Args:
        inputs: the model and its name; of the spec, only the inputs of a TorchScript module are used.
        progress: receives the stages.

    Raises:
        QuantdError: the upload holds no model that can be read.
    """
    spec = resolve(inputs.spec)
    with tempfile.TemporaryDirectory() as scratch:
        progress(Stage.LOADING, 0, 1, inputs.name)
        file = onnx_file(inputs.model, inputs.name, Path(scratch), spec.torchscript.inputs)
        progress(Stage.NORMALISING, 0, 1, inputs.name)
        try:
            model = float_graph(file, Path(scratch)).model
        except QuantdError as error:
            return Inspection(model=file.description, layers=(), skipped=(), refusal=_refusal(error))
        return _inspected(file, model, spec)


def _inspected(file: OnnxFile, model: ir.Model, spec: Spec) -> Inspection:
    """Return the inspection of a model that can be opened."""
    layers, skipped = inventory(model)
    refusal = None
    try:
        choose_layers(model, spec)
    except QuantdError as error:
        refusal = _refusal(error)
    return Inspection(
        model=file.description,
        layers=tuple(map(_layer, layers)),
        skipped=tuple(SkippedNode(name=node.name, op=node.op, reason=node.reason) for node in skipped),
        refusal=refusal,
    )


def _layer(layer: Layer) -> InspectedLayer:
    integer = layer.weight_operand.integer_kernel if layer.float_only is None else None
    return InspectedLayer(
        name=layer.name,
        op=layer.op,
        weight_shape=layer.shape,
        parameters=layer.size,
        bytes=4 * layer.size,
        kernel=f"integer ({integer})" if integer else f"float: {layer.float_only}",
    )


def _refusal(error: QuantdError) -> Refusal:
    return Refusal(code=error.code, detail=error.detail)
