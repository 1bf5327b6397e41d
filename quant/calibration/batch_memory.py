"""The batch size with which the inputs of all layers of one batch fit in a bounded memory.

Calibration takes the inputs of many layers out of the graph at once. A sequence of 1500 frames or a large image has
hundreds of megabytes of them, so that 8 samples at once would take gigabytes.
"""

import math
from dataclasses import replace

import onnx_ir as ir

from quant.calibration.observers import session_with_outputs
from quant.data.dataset import Dataset
from quant.graph.constants import constant_tensor
from quant.graph.inventory import inventory
from quant.graph.weightless import weightless

MAX_BYTES = 192 << 20
"""The bytes of the layers' inputs in one batch. 8 images of MobileNetV1 have 125 MB of them."""


def within_memory(model: ir.Model, calibration: Dataset) -> Dataset:
    """Return the set in batches of at most its size with at most `MAX_BYTES` of layer inputs, as far as it is free.

    The bytes of a sample follow from the shapes that the graph declares; where it lacks one, one sample is run.

    Raises:
        ModelError: the model does not run on the first sample.
    """
    if calibration.fixed or calibration.batch == 1:
        return calibration
    inputs = _layer_inputs(model)
    declared = [_declared_bytes(value) for value in inputs]
    size = sum(size for size in declared if size is not None)
    if None in declared and size * calibration.batch <= MAX_BYTES:
        size = _measured_bytes(model, inputs, calibration)
    batch = calibration.batch
    while batch > 1 and size * batch > MAX_BYTES:
        batch //= 2
    return calibration if batch == calibration.batch else replace(calibration, batch=batch, part=None)


def _layer_inputs(model: ir.Model) -> list[ir.Value]:
    """Return the tensors that the layers of the main graph read and the model computes, each once."""
    nodes = [layer.node for layer in inventory(model)[0] if layer.node.graph is model.graph]
    values = {value: None for node in nodes for value in node.inputs if value is not None}
    return [value for value in values if constant_tensor(value) is None and not value.is_graph_input()]


def _declared_bytes(value: ir.Value) -> int | None:
    """Return the bytes of one sample of a tensor; None if an axis other than the first has no declared size."""
    if value.shape is None or value.dtype is None:
        return None
    sizes = [size for axis, size in enumerate(value.shape) if axis or isinstance(size, int)]
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) * max(int(value.dtype.itemsize), 1) if len(known) == len(sizes) else None


def _measured_bytes(model: ir.Model, inputs: list[ir.Value], calibration: Dataset) -> int:
    """Return the bytes of the tensors in a run of the first sample."""
    names = sorted({str(value.name) for value in inputs})
    session = session_with_outputs(weightless(model), names)
    return sum(array.nbytes for array in session.run(next(calibration.singly().batches()), names))
