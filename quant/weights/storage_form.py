"""Storage forms: the nodes between a weight's codes and its layer, which decide the kernel of ONNX Runtime."""

from enum import Enum

from quant.graph.inventory import Layer
from quant.spec import Spec, Weights


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
    if not _targets_ort(spec):
        return StorageForm.DIRECT
    return StorageForm.MATMUL_NBITS if spec.activations is None and becomes_matmul_nbits(layer) else StorageForm.FOLDED


def becomes_matmul_nbits(layer: Layer) -> bool:
    """Return True for a MatMul with a matrix on its right, or a Gemm that is such a MatMul and an Add."""
    return layer.float_only is None and len(layer.shape) == 2 and layer.operator.is_matmul(layer.node)


def _targets_ort(spec: Spec) -> bool:
    """Return True if the file is for the fast kernels of ONNX Runtime on a CPU."""
    return spec.export.weight_storage == "fast" and spec.export.profile == "ort-cpu"
