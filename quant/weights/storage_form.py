"""In which form a weight is stored, so that ONNX Runtime runs its layer with the fastest kernel there is for it."""

from enum import Enum

from quant.graph.inventory import Layer
from quant.spec import Spec, Weights


class StorageForm(Enum):
    """What the nodes between a weight's codes and its layer are."""

    INTEGER = "8-bit codes at load, then DequantizeLinear: fuses to QLinearConv, QGemm or QLinearMatMul"
    MATMUL_NBITS = "DequantizeLinear of the stored codes, before a MatMul: fuses to MatMulNBits"
    FOLDED = "Cast and Mul, which are computed when the model is loaded: runs as float"
    DIRECT = "DequantizeLinear of the stored codes, as every consumer of ONNX knows it"


def storage_form(layer: Layer, section: Weights, spec: Spec) -> StorageForm:
    """The form of one layer's weight under the spec's storage, profile and activations."""
    codebook = not section.grid.integer_levels
    if spec.activations is not None and layer.float_only is None:
        return StorageForm.INTEGER if codebook or _fast(spec) else StorageForm.DIRECT
    if codebook:
        return StorageForm.FOLDED
    if not _fast(spec):
        return StorageForm.DIRECT
    return StorageForm.MATMUL_NBITS if spec.activations is None and becomes_matmul_nbits(layer) else StorageForm.FOLDED


def becomes_matmul_nbits(layer: Layer) -> bool:
    """Return True for a MatMul with a matrix on its right, or a Gemm that is such a MatMul and an Add."""
    return layer.float_only is None and len(layer.shape) == 2 and layer.operator.is_matmul(layer.node)


def _fast(spec: Spec) -> bool:
    return spec.export.weight_storage == "fast" and spec.export.profile == "ort-cpu"
