"""Storage of weights: the types of their codes, and the nodes that compute the weight from them."""

from collections.abc import Sequence

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer
from quant.graph.names import Names, shortened
from quant.weights.granularity import PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.quantize import QuantizedWeight
from quant.weights.storage_form import StorageForm

INT2_OPSET = 25
"""The first opset with types of 2 bits; before it, codes of 2 bits are stored in 4."""
_SIGNED = {8: np.dtype(np.int8), 4: np.dtype(ml_dtypes.int4), 2: np.dtype(ml_dtypes.int2)}
_UNSIGNED = {4: np.dtype(ml_dtypes.uint4), 2: np.dtype(ml_dtypes.uint2)}


def stored_bits(bits: int, opset: int, form: StorageForm = StorageForm.INTEGER) -> int:
    """Return the number of bits in which a file of this opset stores a code of `bits` bits.

    A code of 6 bits is stored as 4 and 2 in the forms that are computed when the model is loaded, else in 8.
    """
    if bits > 4:
        return 6 if bits == 6 and opset >= INT2_OPSET and (form.reads_integers or form is StorageForm.FOLDED) else 8
    return 2 if bits == 2 and opset >= INT2_OPSET else 4


def code_bytes(size: int, bits: int, form: StorageForm, opset: int) -> int:
    """Return the size in bytes of `size` codes of `bits` bits."""
    stored = stored_bits(bits, opset, form)
    return sum(-(-size * plane // 8) for plane in ((4, 2) if stored == 6 else (stored,)))


def stored_bytes(weight: QuantizedWeight, form: StorageForm, opset: int) -> int:
    """Return the size in bytes of a weight's codes, scales and codebook; a float codebook needs no scales."""
    codes = code_bytes(weight.codes.size, weight.bits, form, opset)
    if weight.levels is None:
        zeros = 0 if weight.zero is None else code_bytes(weight.zero.size, weight.bits, form, opset)
        return codes + weight.scale.nbytes + zeros
    return codes + (weight.levels.size + weight.scale.nbytes if form.reads_integers else weight.levels.nbytes)


def dequantized_weight(
    before: ir.Node,
    name: str,
    weight: QuantizedWeight,
    form: StorageForm,
    opset: int,
    names: Names,
    *,
    transposed: bool = False,
) -> ir.Value:
    """Insert nodes that compute the float weight from its codes, and return their result.

    Args:
        before: the node before which the nodes are inserted.
        name: the beginning of all new names.
        weight: the quantized weight.
        form: the form in which the weight is stored.
        opset: the model's opset, which decides the types of codes.
        names: the names in use in the model.
        transposed: return the transpose of a matrix.
    """
    write = _Writer(before, name, names)
    if weight.levels is not None:
        return _from_codebook(write, weight, weight.levels, form, opset)
    bits = stored_bits(weight.bits, opset, form)
    source = _stored_codes(write, weight, bits, transposed=transposed)
    if form is StorageForm.FOLDED:
        return _folded(write, weight, _cast(write, source, ir.DataType.FLOAT), bits)
    if form is StorageForm.INTEGER:
        source = _cast(write, source, ir.DataType.INT8)
    axis, block = _axis_and_block(weight)
    scale, zero = weight.scale, weight.zero
    if transposed:
        scale, axis = np.ascontiguousarray(scale.T), None if axis is None else 1 - axis
        zero = None if zero is None else np.ascontiguousarray(zero.T)
    return dequantize_linear(before, name, source, scale, axis, names, block, zero)


def integer_weight(
    before: ir.Node, name: str, weight: QuantizedWeight, opset: int, names: Names, *, transposed: bool
) -> ir.Value:
    """Insert nodes that compute the int8 codes of a weight whose scale the layer multiplies by, and return them.

    The arguments are those of `dequantized_weight`, but `transposed` exchanges the last two axes of any weight. ONNX
    Runtime computes the codes once, when the model is loaded.
    """
    write = _Writer(before, name, names)
    if weight.levels is None:
        bits = stored_bits(weight.bits, opset, StorageForm.DYNAMIC)
        return _cast(write, _stored_codes(write, weight, bits, transposed=transposed), ir.DataType.INT8)
    codes = _levels(write, weight, _integer_levels(weight, weight.levels), opset)
    if not transposed:
        return codes
    axes = range(weight.codes.ndim)
    order = [*axes[:-2], axes[-1], axes[-2]]
    return write.node("Transpose", [codes], "transposed", [ir.AttrInt64s("perm", order)])


def dequantize_linear(
    before: ir.Node,
    name: str,
    source: ir.Value,
    scale: NDArray[np.float32],
    axis: int | None,
    names: Names,
    block: int = 0,
    zero: NDArray[np.int8] | None = None,
) -> ir.Value:
    """Insert a DequantizeLinear before the node `before`, and return its output.

    Args:
        before: the node before which it is inserted.
        name: the beginning of all new names.
        source: the codes.
        scale: one scale (), one for each index along `axis`, or one for each block along it.
        axis: the axis along which scales differ; None for one scale.
        names: the names in use in the model.
        block: the number of codes along `axis` that share a scale; 0 if all do.
        zero: the zero points in the shape of the scale; None if all are 0.
    """
    write = _Writer(before, name, names)
    attributes = [ir.AttrInt64("axis", axis)] if axis is not None else []
    attributes += [ir.AttrInt64("block_size", block)] if block else []
    assert source.dtype is not None
    inputs = [source, write.constant("scale", scale)]
    if source.dtype != ir.DataType.INT32:  # ONNX Runtime's integer kernels require the zero point of a weight
        zeros = np.zeros(scale.shape, np.int8) if zero is None else zero
        inputs.append(write.constant("zero_point", zeros.astype(source.dtype.numpy())))
    output = write.node("DequantizeLinear", inputs, "dequantized", attributes)
    output.dtype = ir.DataType.FLOAT
    return output


def _axis_and_block(weight: QuantizedWeight) -> tuple[int | None, int]:
    """Return the axis and the block size of the DequantizeLinear that holds a weight's scales; 0 for no blocks.

    For stacked matrices the blocks are as long as the axis of inputs, so that each channel of each matrix is a block.

    Requires: no groups, whose scales no DequantizeLinear can hold.
    """
    granularity = weight.granularity
    if isinstance(granularity, PerTensor):
        return None, 0
    if isinstance(granularity, PerMatrixChannel):
        (axis,) = (axis for axis in range(weight.codes.ndim) if axis not in granularity.axes)
        return axis, weight.codes.shape[axis]
    return granularity.axis, weight.block


def _from_codebook(
    write: "_Writer", weight: QuantizedWeight, levels: NDArray[np.float32], form: StorageForm, opset: int
) -> ir.Value:
    """Return the levels that the indices select: int8 levels and a DequantizeLinear for integer kernels, else float."""
    if form is not StorageForm.INTEGER:
        return _levels(write, weight, levels, opset)
    value = _levels(write, weight, _integer_levels(weight, levels), opset)
    value.dtype = ir.DataType.INT8
    axis, block = _axis_and_block(weight)
    return dequantize_linear(write.before, write.name, value, weight.scale, axis, write.names, block)


def _integer_levels(weight: QuantizedWeight, levels: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the levels of each row in units of its scale; they are integers in the forms that read integers."""
    integers: NDArray[np.int8] = np.rint(levels / weight.scale.reshape(-1, 1)).astype(np.int8)
    return integers


def _levels(write: "_Writer", weight: QuantizedWeight, codebook: NDArray[np.generic], opset: int) -> ir.Value:
    """Return the entries of a codebook that the indices of the weight select."""
    granularity, shape = weight.granularity, weight.codes.shape
    assert not isinstance(granularity, PerBlock), "codebooks are per tensor or channel"
    dtype = _UNSIGNED[stored_bits(weight.bits, opset)]
    if isinstance(granularity, PerTensor):
        indices = _cast(write, write.constant("indices", weight.codes.astype(dtype)), ir.DataType.INT32)
        value = write.node("Gather", [write.constant("codebook", codebook[0]), indices], "levels")
    else:
        rows = granularity.rows(weight.codes)
        indices = _cast(write, write.constant("indices", rows.astype(dtype)), ir.DataType.INT32)
        value = write.node(
            "GatherElements", [write.constant("codebook", codebook), indices], "levels", [ir.AttrInt64("axis", 1)]
        )
        value = _restored(write, value, granularity, shape)
    return value


def _stored_codes(write: "_Writer", weight: QuantizedWeight, bits: int, *, transposed: bool) -> ir.Value:
    """Return the codes of a weight as they are stored in `bits` bits, of a matrix `transposed` where that is asked."""
    codes = np.ascontiguousarray(np.swapaxes(weight.codes, -1, -2)) if transposed else weight.codes
    return _from_planes(write, codes) if bits == 6 else write.constant("codes", codes.astype(_SIGNED[bits]))


def _from_planes(write: "_Writer", codes: NDArray[np.int8]) -> ir.Value:
    """Return 6-bit codes from -32 to 31 as int32, computed from their upper four and lower two bits: 4 high + low."""
    high = write.constant("high", (codes >> 2).astype(_SIGNED[4]))
    low = write.constant("low", (codes & 3).astype(_UNSIGNED[2]))
    four = write.constant("four", np.array(4, np.int32))
    upper = write.node("Mul", [_cast(write, high, ir.DataType.INT32, "high"), four], "upper")
    return write.node("Add", [upper, _cast(write, low, ir.DataType.INT32, "low")], "codes")


def _restored(
    write: "_Writer", rows: ir.Value, granularity: PerChannel | PerMatrixChannel, shape: tuple[int, ...]
) -> ir.Value:
    """Return rows (R, n) in the weight's shape: the nodes do the same as the granularity's `restore`."""
    if isinstance(granularity, PerChannel):
        granularity = PerMatrixChannel((granularity.axis,))
    split = granularity.split(shape)
    order = granularity.order(len(split))
    moved = np.array([split[axis] for axis in order], np.int64)
    value = write.node("Reshape", [rows, write.constant("shape", moved)], "shaped")
    if order != tuple(range(len(split))):
        value = write.node("Transpose", [value], "restored", [ir.AttrInt64s("perm", np.argsort(order).tolist())])
    if split == shape:
        return value
    return write.node("Reshape", [value, write.constant("own_shape", np.array(shape, np.int64))], "joined")


def _cast(write: "_Writer", source: ir.Value, to: ir.DataType, prefix: str = "") -> ir.Value:
    """Return `source` in another type; `prefix` tells two casts of one weight apart."""
    if source.dtype == to:
        return source
    name = "_".join(filter(None, (prefix, str(to).lower())))
    output = write.node("Cast", [source], name, [ir.AttrInt64("to", to)])
    output.dtype = to
    return output


def _has_whole_blocks(weight: QuantizedWeight) -> bool:
    """Return True if the weight is split into blocks, and none of them is incomplete."""
    granularity = weight.granularity
    return isinstance(granularity, PerBlock) and weight.codes.shape[granularity.axis] % granularity.size == 0


def _folded(write: "_Writer", weight: QuantizedWeight, codes: ir.Value, bits: int) -> ir.Value:
    """Return the weight from codes in float, by nodes that are computed when the model is loaded."""
    if _has_whole_blocks(weight):
        return _from_blocks(write, weight, codes, bits)
    if weight.zero is not None:
        zero = _broadcast(write, weight, _zeros(write, weight, bits), "zeros")
        codes = write.node("Sub", [codes, zero], "centred")
    scale = write.constant("scale", _scale(weight))
    return write.node("Mul", [codes, _broadcast(write, weight, scale, "scales")], "dequantized")


def _from_blocks(write: "_Writer", weight: QuantizedWeight, codes: ir.Value, bits: int) -> ir.Value:
    """Return the weight from codes in float that are split into blocks, multiplied by a scale each and joined again.

    OpenVINO 2026 knows this pattern, and ends with a division by zero where the scales are repeated by a Gather.
    """
    granularity, shape = weight.granularity, weight.codes.shape
    assert isinstance(granularity, PerBlock), "the weight has blocks"
    axis = granularity.axis
    split = (*shape[:axis], shape[axis] // granularity.size, granularity.size, *shape[axis + 1 :])
    blocks = write.node("Reshape", [codes, write.constant("split", np.array(split, np.int64))], "blocks")
    if weight.zero is not None:
        blocks = write.node("Sub", [blocks, _zeros(write, weight, bits)], "centred")
    scale = write.constant("scale", np.expand_dims(weight.scale, axis + 1))
    scaled = write.node("Mul", [blocks, scale], "scaled")
    return write.node("Reshape", [scaled, write.constant("shape", np.array(shape, np.int64))], "dequantized")


def _zeros(write: "_Writer", weight: QuantizedWeight, bits: int) -> ir.Value:
    """Return the zero points of a weight in blocks as floats, with an axis of blocks if all blocks are whole."""
    granularity, zero = weight.granularity, weight.zero
    assert isinstance(granularity, PerBlock), "only blocks have zero points"
    assert zero is not None, "the weight has zero points"
    if _has_whole_blocks(weight):
        zero = np.expand_dims(zero, granularity.axis + 1)
    return _cast(write, write.constant("zero_point", zero.astype(_SIGNED[bits])), ir.DataType.FLOAT, "zero_point")


def _scale(weight: QuantizedWeight) -> NDArray[np.float32]:
    """Return the scale in a shape that broadcasts to the codes, once those of blocks and groups are repeated."""
    scale, granularity = weight.scale, weight.granularity
    if isinstance(granularity, PerChannel):
        return scale.reshape([-1 if axis == granularity.axis else 1 for axis in range(weight.codes.ndim)])
    if isinstance(granularity, PerMatrixChannel) and granularity.groups is not None:
        return scale.reshape(granularity.groups, *scale.shape[2:])
    return scale


def _broadcast(write: "_Writer", weight: QuantizedWeight, value: ir.Value, output: str) -> ir.Value:
    """Return a value of each scale in a shape that broadcasts to the codes; those of blocks and groups are repeated."""
    granularity, shape = weight.granularity, weight.codes.shape
    if isinstance(granularity, PerBlock):
        axis, size = granularity.axis, granularity.size
    elif isinstance(granularity, PerMatrixChannel) and granularity.groups is not None:
        axis, size = 0, shape[0] // granularity.groups
    else:
        return value
    block_of = write.constant("block", np.arange(shape[axis], dtype=np.int64) // size)
    return write.node("Gather", [value, block_of], output, [ir.AttrInt64("axis", axis)])


class _Writer:
    """Adds the constants and nodes of one weight, whose names start with `name`, before the node that reads it."""

    def __init__(self, before: ir.Node, name: str, names: Names) -> None:
        graph = before.graph
        assert isinstance(graph, ir.Graph)
        self.before, self.name, self.names, self._graph = before, shortened(name), names, graph

    def constant(self, suffix: str, array: NDArray[np.generic]) -> ir.Value:
        """Add an initializer."""
        return add_initializer(self._graph, f"{self.name}_{suffix}", array, self.names)

    def node(self, op: str, inputs: Sequence[ir.Value], output: str, attributes: Sequence[ir.Attr] = ()) -> ir.Value:
        """Insert a node with one output, and return the output."""
        name = self.names.node(f"{self.name}_{output}_{op.lower()}")
        node = ir.Node("", op, inputs, attributes, num_outputs=1, name=name)
        node.outputs[0].name = self.names.value(f"{self.name}_{output}")
        self._graph.insert_before(self.before, node)
        return node.outputs[0]
