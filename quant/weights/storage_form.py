"""Storage forms: the nodes between a weight's codes and its layer, which decide the kernel of ONNX Runtime."""

from enum import Enum

from quant.graph.inventory import Layer
from quant.spec import Spec, Weights

MIN_MATMUL_NBITS_SIZE = 1 << 18
"""The elements of the smallest matrix that is stored for MatMulNBits. Time compared with float, one thread, 8 bits and
4 bits, for 1, 8 and 64 rows of input: 64x64 1.1, 1.2, 1.7 and 1.1, 1.3, 2.0; 256x256 .9, 1.0, 1.2 and .9, 1.1, 1.3;
512x512 .6, .85, .94 and .56, .93, 1.1."""

INT8_INPUTS_NOTE = "ONNX Runtime rounds the inputs to 8 bits: matmul_accuracy int8"
"""The note for the report at a layer that becomes MatMulNBits."""


class StorageForm(Enum):
    """The nodes between the stored codes of a weight and the layer that uses it."""

    INTEGER = "8-bit codes at load, then DequantizeLinear: fuses to QLinearConv, QGemm or QLinearMatMul"
    MATMUL_NBITS = "DequantizeLinear of the stored codes, before a MatMul: fuses to MatMulNBits"
    FOLDED = "Cast and Mul, which are computed when the model is loaded: runs as float"
    DIRECT = "DequantizeLinear of the stored codes, the standard form of ONNX"


def storage_form(layer: Layer, section: Weights, spec: Spec) -> StorageForm:
    """Return the form of one layer's weight, by the spec's storage, profile and activations.

    Args:
        layer: The layer.
        section: The layer's section of the spec, whose grid is a codebook or has integer levels.
        spec: The whole spec.
    """
    codebook = not section.grid.integer_levels
    if spec.activations is not None and layer.float_only is None:
        return StorageForm.INTEGER if codebook or _targets_ort(spec) else StorageForm.DIRECT
    if codebook:
        return StorageForm.FOLDED
    fused = spec.activations is None and is_plain_matmul(layer)
    if fused and spec.export.matmul_accuracy == "float":  # ONNX Runtime fuses a DequantizeLinear before a MatMul
        return StorageForm.FOLDED
    if not _targets_ort(spec):
        return StorageForm.DIRECT
    pays = layer.size >= MIN_MATMUL_NBITS_SIZE and not _is_shared(layer)
    return StorageForm.MATMUL_NBITS if fused and pays else StorageForm.FOLDED


def is_plain_matmul(layer: Layer) -> bool:
    """Return True for a MatMul with a matrix on its right, or a Gemm that is such a MatMul and an Add."""
    return layer.float_only is None and len(layer.shape) == 2 and layer.operator.is_matmul(layer.node)


def _is_shared(layer: Layer) -> bool:
    """Return True if several nodes read the weight; ONNX Runtime fuses no MatMul whose codes another node reads too."""
    return len(layer.operand(layer.weight_index).uses()) > 1


def _targets_ort(spec: Spec) -> bool:
    """Return True if the file is for the fast kernels of ONNX Runtime on a CPU."""
    return spec.export.weight_storage == "fast" and spec.export.target.fast_storage
