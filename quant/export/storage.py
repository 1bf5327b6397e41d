"""Storage of weights: the types of their codes, and the nodes that compute the weight from them."""

from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer
from quant.graph.names import Names, shortened
from quant.weights.granularity import PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.quantize import QuantizedWeight
from quant.weights.storage_form import StorageForm

_INT32 = ir.DataType.INT32
INT2_OPSET = 25
"""The first opset with types of 2 bits; before it, codes of 2 bits are stored in 4."""
_SIGNED = {8: np.dtype(np.int8), 4: np.dtype(ml_dtypes.int4), 2: np.dtype(ml_dtypes.int2)}
_UNSIGNED = {8: np.dtype(np.uint8), 4: np.dtype(ml_dtypes.uint4), 2: np.dtype(ml_dtypes.uint2)}
PLANES = {3: (2, 1), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}
"""The bits of the planes that codes of these widths are stored as, the highest first: ONNX has no types of such widths.
Eight codes share a byte of a plane of one bit."""


def stored_bits(bits: int, opset: int, form: StorageForm = StorageForm.INTEGER) -> int:
    """Return the number of bits in which a file of this opset stores a code of `bits` bits.

    Codes of 3, 5, 6 and 7 bits take as many bits in the forms that are computed when the model is loaded, if the opset
    has the types of their planes. In all other forms they take the next of 4 and 8 bits.
    """
    planes = PLANES.get(bits, (bits,))
    in_planes = form.reads_integers or form is StorageForm.FOLDED
    if (in_planes or len(planes) == 1) and (2 not in planes or opset >= INT2_OPSET):
        return bits
    return 4 if bits <= 4 else 8


def storage_notes(bits: int, form: StorageForm, opset: int) -> tuple[str, ...]:
    """Return a note for plan and report if codes take more bits in the file than they have."""
    stored = stored_bits(bits, opset, form)
    if stored == bits:
        return ()
    if stored_bits(bits, INT2_OPSET, form) == bits:
        reason = f"export.opset {INT2_OPSET} has types that store them in {bits}"
    else:
        reason = f"the kernel reads them as they are stored, and there is no type of {bits} bits"
    return (f"codes of {bits} bits are stored in {stored}: {reason}",)


def code_bytes(size: int, bits: int, form: StorageForm, opset: int) -> int:
    """Return the size in bytes of `size` codes of `bits` bits."""
    stored = stored_bits(bits, opset, form)
    return sum(-(-size * plane // 8) for plane in PLANES.get(stored, (stored,)))


def stored_bytes(weight: QuantizedWeight, form: StorageForm, opset: int) -> int:
    """Return the size in bytes of a weight's codes, scales and tables of levels; a table of floats needs no scales."""
    codes = code_bytes(weight.codes.size, weight.bits, form, opset)
    if weight.levels is None:
        zeros = 0 if weight.zero is None else code_bytes(weight.zero.size, weight.bits, StorageForm.DIRECT, opset)
        return codes + weight.scale.nbytes + zeros + (2**weight.bits if weight.odd else 0)
    entries = weight.levels.size // weight.rows_per_table
    return codes + (entries + weight.scale.nbytes if has_integer_tables(weight, form) else 4 * entries)


def has_integer_tables(weight: QuantizedWeight, form: StorageForm) -> bool:
    """Return True if the tables of a codebook hold integers, which the scale of each row multiplies."""
    return form.reads_integers or weight.rows_per_table > 1


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
    source = _weight_codes(write, weight, form, opset, transposed=transposed)
    if form is StorageForm.FOLDED:
        return _folded(write, weight, _cast(write, source, ir.DataType.FLOAT), opset)
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
        codes = _weight_codes(write, weight, StorageForm.DYNAMIC, opset, transposed=transposed)
        return _cast(write, codes, ir.DataType.INT8)
    codes = _levels(write, weight, _integer_levels(weight, weight.levels), StorageForm.DYNAMIC, opset)
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
    """Return the weight from the levels that the indices select: integers that a scale multiplies, or floats."""
    if not has_integer_tables(weight, form):
        return _levels(write, weight, levels, form, opset)
    value = _levels(write, weight, _integer_levels(weight, levels), form, opset)
    value.dtype = ir.DataType.INT8
    if form is StorageForm.FOLDED:
        return _folded(write, weight, _cast(write, value, ir.DataType.FLOAT), opset)
    axis, block = _axis_and_block(weight)
    return dequantize_linear(write.before, write.name, value, weight.scale, axis, write.names, block)


def _integer_levels(weight: QuantizedWeight, levels: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the levels of each row in units of its scale; they are integers where the tables hold integers."""
    integers: NDArray[np.int8] = np.rint(levels / weight.scale.reshape(-1, 1)).astype(np.int8)
    return integers


def _levels(
    write: "_Writer", weight: QuantizedWeight, levels: NDArray[np.generic], form: StorageForm, opset: int
) -> ir.Value:
    """Return the entries of the tables, the levels (R, K) of every row that has its own, that the indices select."""
    granularity, shape = weight.granularity, weight.codes.shape
    assert not isinstance(granularity, PerBlock), "codebooks are per tensor or channel"
    tables, bits = levels[:: weight.rows_per_table], stored_bits(weight.bits, opset, form)
    if len(tables) == 1:
        indices = _stored(write, "indices", weight.codes, bits, _UNSIGNED)
        return write.node("Gather", [write.constant("codebook", tables[0]), _cast(write, indices, _INT32)], "levels")
    assert not isinstance(granularity, PerTensor), "a tensor with one scale has one table"
    rows = granularity.rows(weight.codes).reshape(len(tables), -1)
    indices = _cast(write, _stored(write, "indices", rows, bits, _UNSIGNED), _INT32)
    along = [ir.AttrInt64("axis", 1)]
    value = write.node("GatherElements", [write.constant("codebook", tables), indices], "levels", along)
    return _restored(write, value, granularity, shape)


def _weight_codes(
    write: "_Writer", weight: QuantizedWeight, form: StorageForm, opset: int, *, transposed: bool
) -> ir.Value:
    """Return the codes of a weight, of a matrix `transposed` where that is asked, as they are stored or as int32."""
    codes = np.ascontiguousarray(np.swapaxes(weight.codes, -1, -2)) if transposed else weight.codes
    bits = stored_bits(weight.bits, opset, form)
    if not weight.odd:
        return _stored(write, "codes", codes, bits, _SIGNED)
    odd = np.arange(1 - 2**weight.bits, 2**weight.bits, 2, dtype=np.int8)
    indices = _stored(write, "indices", (codes - odd[0]) // 2, bits, _UNSIGNED)
    value = write.node("Gather", [write.constant("odd", odd), _cast(write, indices, _INT32)], "codes")
    value.dtype = ir.DataType.INT8
    return value


def _stored(
    write: "_Writer",
    name: str,
    codes: NDArray[np.int8],
    bits: int,
    types: Mapping[int, np.dtype[np.generic]],
) -> ir.Value:
    """Return codes that are stored in `bits` bits: in a type of that width, or as int32 computed from planes.

    The codes are the sum of the planes p of bits from s upwards, each times 2^s.
    """
    planes = PLANES.get(bits, (bits,))
    if len(planes) == 1:
        return write.constant(name, codes.astype(types[bits]))
    terms: list[ir.Value] = []
    shift, rest = 0, codes
    for plane in reversed(planes):
        highest = shift + plane == bits
        part = rest if highest else rest & (2**plane - 1)
        if plane == 1:
            stored = _packed(write, part)
        else:
            stored = write.constant(f"{name}_{shift}", part.astype((types if highest else _UNSIGNED)[plane]))
        term = _cast(write, stored, _INT32, f"{name}_{shift}")
        if shift:
            power = write.constant(f"power_{shift}", np.array(2**shift, np.int32))
            term = write.node("Mul", [term, power], f"{name}_{shift}_shifted")
        terms.append(term)
        shift, rest = shift + plane, rest >> plane
    total = terms.pop()
    while terms:  # the highest plane first, from which the first inputs lead to the weight
        total = write.node("Add", [total, terms.pop()], name)
    return total


def _packed(write: "_Writer", bits: NDArray[np.int8]) -> ir.Value:
    """Return bits, of which each stored byte holds eight, the first in its lowest bit."""
    flat = np.pad(bits.reshape(-1), (0, -bits.size % 8))
    packed = write.constant("bits", np.packbits(flat.view(np.uint8), bitorder="little")[:, None])
    places = write.constant("places", np.arange(8, dtype=np.uint8))
    right = [ir.AttrString("direction", "RIGHT")]
    shifted = write.node("BitShift", [packed, places], "bits_shifted", right)
    value = write.node("BitwiseAnd", [shifted, write.constant("lowest", np.array(1, np.uint8))], "bits_apart")
    if flat.size != bits.size:
        value = write.node("Reshape", [value, write.constant("flat", np.array([-1], np.int64))], "bits_flat")
        first, last = (np.array([at], np.int64) for at in (0, bits.size))
        ends = [write.constant("bits_first", first), write.constant("bits_last", last)]
        value = write.node("Slice", [value, *ends], "bits_cut")
    return write.node("Reshape", [value, write.constant("bits_shape", np.array(bits.shape, np.int64))], "bits")


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


def _folded(write: "_Writer", weight: QuantizedWeight, codes: ir.Value, opset: int) -> ir.Value:
    """Return the weight from codes in float, by nodes that are computed when the model is loaded."""
    if _has_whole_blocks(weight):
        return _from_blocks(write, weight, codes, opset)
    if weight.zero is not None:
        zero = _broadcast(write, weight, _zeros(write, weight, opset), "zeros")
        codes = write.node("Sub", [codes, zero], "centred")
    scale = write.constant("scale", _scale(weight))
    return write.node("Mul", [codes, _broadcast(write, weight, scale, "scales")], "dequantized")


def _from_blocks(write: "_Writer", weight: QuantizedWeight, codes: ir.Value, opset: int) -> ir.Value:
    """Return the weight from codes in float that are split into blocks, multiplied by a scale each and joined again.

    OpenVINO 2026 knows this pattern, and ends with a division by zero where the scales are repeated by a Gather.
    """
    granularity, shape = weight.granularity, weight.codes.shape
    assert isinstance(granularity, PerBlock), "the weight has blocks"
    axis = granularity.axis
    split = (*shape[:axis], shape[axis] // granularity.size, granularity.size, *shape[axis + 1 :])
    blocks = write.node("Reshape", [codes, write.constant("split", np.array(split, np.int64))], "blocks")
    if weight.zero is not None:
        blocks = write.node("Sub", [blocks, _zeros(write, weight, opset)], "centred")
    scale = write.constant("scale", np.expand_dims(weight.scale, axis + 1))
    scaled = write.node("Mul", [blocks, scale], "scaled")
    return write.node("Reshape", [scaled, write.constant("shape", np.array(shape, np.int64))], "dequantized")


def _zeros(write: "_Writer", weight: QuantizedWeight, opset: int) -> ir.Value:
    """Return the zero points of a weight in blocks as floats, with an axis of blocks if all blocks are whole."""
    granularity, zero = weight.granularity, weight.zero
    assert isinstance(granularity, PerBlock), "only blocks have zero points"
    assert zero is not None, "the weight has zero points"
    if _has_whole_blocks(weight):
        zero = np.expand_dims(zero, granularity.axis + 1)
    stored = zero.astype(_SIGNED[stored_bits(weight.bits, opset, StorageForm.DIRECT)])
    return _cast(write, write.constant("zero_point", stored), ir.DataType.FLOAT, "zero_point")


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
