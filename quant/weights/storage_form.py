"""Storage forms: the nodes between a weight's codes and its layer, which decide the kernel of ONNX Runtime."""

from dataclasses import replace
from enum import Enum
from typing import Literal

import onnx_ir as ir

from quant.graph.constants import constant_tensor
from quant.graph.inventory import Layer
from quant.graph.operators import operator_of
from quant.spec import Spec, Weights

MIN_MATMUL_NBITS_SIZE = 1 << 18
"""The elements of the smallest matrix that is stored for MatMulNBits. Time compared with float, one thread, 8 bits and
4 bits, for 1, 8 and 64 rows of input: 64x64 1.1, 1.2, 1.7 and 1.1, 1.3, 2.0; 256x256 .9, 1.0, 1.2 and .9, 1.1, 1.3;
512x512 .6, .85, .94 and .56, .93, 1.1."""

MIN_DYNAMIC_SIZE = 1 << 18
"""The weights of the smallest LSTM that is computed in integers. Time compared with float, one thread, for as many
inputs as states, and sequences of 50 to 160 steps or of one: 96 states 1.1, 128 states .8 and 1.2, 256 states .5 and
.6."""

INT8_INPUTS_NOTE = "ONNX Runtime rounds the inputs to 8 bits: matmul_accuracy int8"
"""The note for the report at a layer that becomes MatMulNBits."""

ActivationMode = Literal["static", "dynamic", "float"]
"""The rounding of a layer's input: in a static range, in the range of each input, or none."""


class StorageForm(Enum):
    """The nodes between the stored codes of a weight and the layer that uses it."""

    INTEGER = "8-bit codes at load, then DequantizeLinear: fuses to QLinearConv, QGemm or QLinearMatMul"
    DYNAMIC = "8-bit codes at load, then MatMulInteger on inputs rounded by their own range: fuses to one kernel"
    MATMUL_NBITS = "DequantizeLinear of the stored codes, before a MatMul: fuses to MatMulNBits"
    FOLDED = "Cast and Mul, which are computed when the model is loaded: runs as float"
    DIRECT = "DequantizeLinear of the stored codes, the standard form of ONNX"

    @property
    def reads_integers(self) -> bool:
        """True if the kernel reads 8-bit codes, so that the levels of a codebook are integers times a scale."""
        return self in (StorageForm.INTEGER, StorageForm.DYNAMIC)


def storage_form(layer: Layer, section: Weights, spec: Spec) -> StorageForm:
    """Return the form of one layer's weight, by the spec's storage, profile and activations.

    Args:
        layer: The layer.
        section: The layer's section of the spec, whose grid is a codebook or has integer levels.
        spec: The whole spec.
    """
    computed = not section.grid.direct
    if has_static_range(layer, spec):
        return StorageForm.INTEGER if computed or targets_ort(spec) else StorageForm.DIRECT
    if _has_dynamic_range(layer, spec):
        return StorageForm.DYNAMIC
    if computed:
        return StorageForm.FOLDED
    fused = spec.activations is None and is_plain_matmul(layer)
    if fused and spec.export.matmul_accuracy == "float":  # ONNX Runtime fuses a DequantizeLinear before a MatMul
        return StorageForm.FOLDED
    if not targets_ort(spec):
        return StorageForm.DIRECT
    pays = layer.size >= MIN_MATMUL_NBITS_SIZE and not _is_shared(layer)
    return StorageForm.MATMUL_NBITS if fused and pays else StorageForm.FOLDED


def has_static_range(layer: Layer, spec: Spec) -> bool:
    """Return True if the layer's input is rounded by a range that calibration data decide."""
    return spec.activations is not None and layer.float_only is None and not _has_dynamic_range(layer, spec)


def _has_dynamic_range(layer: Layer, spec: Spec) -> bool:
    """Return True if the spec asks for a range that the model computes for each input, and the layer can have one."""
    if spec.activations is None or spec.activations.mode != "dynamic":
        return False
    return has_dynamic_form(layer) or _has_dynamic_kernel(layer, spec)


def activation_mode(form: StorageForm, layer: Layer, spec: Spec) -> ActivationMode:
    """Return how the input of a layer is rounded in a model with weights of this form."""
    if form is StorageForm.DYNAMIC:
        return "dynamic"
    direct = form is StorageForm.DIRECT and has_static_range(layer, spec)
    return "static" if form is StorageForm.INTEGER or direct else "float"


def float_input_note(layer: Layer, form: StorageForm, spec: Spec) -> str | None:
    """Return the note for the report at a layer with a float input in a model with quantized activations, or None."""
    if spec.activations is None or layer.float_only is None or form is StorageForm.DYNAMIC:
        return None
    return f"computed in float with quantized weights: {layer.float_only}"


def is_plain_matmul(layer: Layer) -> bool:
    """Return True for a MatMul with a matrix on its right, or a Gemm that is such a MatMul and an Add."""
    return layer.float_only is None and has_dynamic_form(layer)


def has_dynamic_form(layer: Layer) -> bool:
    """Return True if the layer is such a product, in the model's graph or in a body: MatMulInteger computes it."""
    integer = layer.weight_operand.integer_kernel is not None
    return integer and len(layer.shape) == 2 and layer.operator.is_matmul(layer.node)


def _has_dynamic_kernel(layer: Layer, spec: Spec) -> bool:
    """Return True if one kernel of ONNX Runtime computes the layer's node in integers with all of its weights.

    That is a large LSTM whose weights are all quantized. One with few inputs needs finer scales than the kernel has.
    """
    node, operator = layer.node, layer.operator
    if operator.dynamic_kernel is None or not targets_ort(spec) or node.attributes.get_int("layout", 0) != 0:
        return False
    if operator_of(node) is None:  # another weight of the node was replaced before
        return True
    values = [node.inputs[operand.index] for operand in operator.weights]
    sections = [spec.weights_for(f"{node.name}{operand.suffix}", layer.op) for operand in operator.weights]
    if not all(_is_plain_constant(value) for value in values):
        return False
    if any(section is None or section.pair_sums != "any" for section in sections):
        return False
    inputs, recurrent = (replace(layer, weight_operand=operand) for operand in operator.weights)
    return inputs.size + recurrent.size >= MIN_DYNAMIC_SIZE and not inputs.has_few_inputs


def _is_plain_constant(value: ir.Value | None) -> bool:
    """Return True for a constant of float32 that only nodes read."""
    tensor = constant_tensor(value)
    plain = tensor is not None and tensor.dtype == ir.DataType.FLOAT
    return plain and value is not None and not value.is_graph_output()


def takes_blocks(layer: Layer) -> bool:
    """Return True if a block of the layer's weight can have a scale: of a plain MatMul or a recurrent layer."""
    return is_plain_matmul(layer) or layer.weight_operand.recurrent


def _is_shared(layer: Layer) -> bool:
    """Return True if several nodes read the weight; ONNX Runtime fuses no MatMul whose codes another node reads too."""
    return len(layer.operand(layer.weight_index).uses()) > 1


def targets_ort(spec: Spec) -> bool:
    """Return True if the file is for the fast kernels of ONNX Runtime on a CPU."""
    return spec.export.weight_storage == "fast" and spec.export.target.fast_storage
