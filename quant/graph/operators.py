"""The table of operators whose weight can be quantized, and the roles of operators without a weight.

`OPERATORS` describes every operator whose weight can be quantized. A new operator is one value here and a case in
tests/quant/graph/test_operators.py (docs/extending.md, 'Add an operator'). The predicates below the table name the
roles of operators without a weight.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from quant.graph.constants import constant_tensor
from quant.graph.matrix_form import Convolution, MatrixForm, Product, Recurrent, TransposedConvolution, group_count

_TRAINING_MODE = 2
"""The number of the operand of a Dropout that says whether it drops values."""
Axis = Callable[[ir.Node, int], int]
"""An axis of the weight as a function of the node and of the weight's rank."""


class AnyNode(Protocol):
    """A node of `onnx_ir` or of an ONNX protobuf."""

    @property
    def op_type(self) -> str:
        """The name of the node's operator."""


@dataclass(frozen=True)
class WeightOperand:
    """One operand of an operator that can hold a constant weight.

    Exactly one of `integer_kernel` and `float_reason` is set.

    Attributes:
        index: the number of the operand that is the weight.
        input_index: the number of the operand that the weight is applied to.
        channel_axis: the weight's axis of output channels.
        suffix: added to the node's name where a node has several weights.
        output_axis: the output's axis of channels, where a bias lies; None if the output has no such axis.
        matrix_form: how the layer is written as a matrix product; None if it is not one.
        stacked: True if the last two axes are a matrix and the axes before them count matrices, whose channels have
            scales of their own.
        reduces_matrix: True if the output is a sum over the other axis of a matrix (K, N) or (N, K), so that the
            weight can have one scale per block along that axis.
        inputs_axis: the axis of the weight that is summed with the last axis of the input; None if there is none.
        reads_states: True if the weight is applied to the node's own states, its first output one step before.
        recurrent: True if the weight (directions, gates * hidden, inputs) is applied at every step of a sequence.
        integer_kernel: the kernel of ONNX Runtime's CPU provider that computes with 8-bit weights.
        float_reason: why ONNX Runtime computes in float although the weight is stored in few bits.
    """

    index: int
    input_index: int
    channel_axis: Axis
    suffix: str = ""
    output_axis: int | None = None
    matrix_form: MatrixForm | None = None
    stacked: bool = False
    reduces_matrix: bool = False
    inputs_axis: Callable[[ir.Node], int | None] = lambda node: None
    reads_states: bool = False
    recurrent: bool = False
    integer_kernel: str | None = None
    float_reason: str | None = None


@dataclass(frozen=True)
class Operator:
    """The properties of an operator with a weight.

    Attributes:
        name: the ONNX name, in the default domain.
        weights: the operands that hold weights.
        alternative: the operand that holds the weight instead wherever it is a constant.
        bias_index: the number of the operand with one bias per channel; None if there is none.
        bias_follows: True if a bias is added by an Add after the node.
        spatial: True if a kernel slides over the input: the output is a map (N, C, ...) with channels on axis 1.
        transposed: True if the kernel slides over the output (a fractionally strided convolution).
        grouped_outputs: True if the weight's axis of channels counts the outputs of one group only.
        lookup: True if rows of the weight are looked up, so that only a matrix of floats is a weight.
        writes_float: True if the integer kernel can write float: then its output is rounded only where an integer
            kernel reads it.
        batched: True if a weight with more than two axes is a batch of matrices, each for one matrix of the input.
        is_matmul: returns True if the node computes input times weight (K, N), perhaps plus a bias, and so can become a
            MatMulNBits.
        dynamic_kernel: the operator of ONNX Runtime that computes the node with all its weights in 8 bits and rounds
            inputs and states by their own ranges; None if there is none.
    """

    name: str
    weights: tuple[WeightOperand, ...]
    alternative: WeightOperand | None = None
    bias_index: int | None = None
    bias_follows: bool = False
    spatial: bool = False
    transposed: bool = False
    grouped_outputs: bool = False
    lookup: bool = False
    writes_float: bool = False
    batched: bool = False
    is_matmul: Callable[[ir.Node], bool] = lambda node: False
    dynamic_kernel: str | None = None

    @property
    def is_product(self) -> bool:
        """True if the output is the product of the input and a matrix, or of a batch of them."""
        return any(operand.reduces_matrix for operand in self.weights)

    @property
    def convolution(self) -> bool:
        """True if a kernel slides over the input and each output position reads one window of it."""
        return self.spatial and not self.transposed

    def weights_of(self, node: ir.Node) -> tuple[WeightOperand, ...]:
        """Return the operands of `node` that hold weights."""
        other = self.alternative
        return (other,) if other is not None and constant_tensor(node.inputs[other.index]) is not None else self.weights

    def output_channels(self, node: ir.Node, channels: int) -> int:
        """Return the number of the output's channels for a weight with `channels` along its channel axis."""
        return channels * group_count(node) if self.grouped_outputs else channels

    def bias(self, node: ir.Node) -> ir.Value | None:
        """Return the bias operand of `node`, or None if there is none."""
        index = self.bias_index
        return None if index is None or len(node.inputs) <= index else node.inputs[index]


def _axis(number: int) -> Axis:
    """Return the axis `number`, counted from the end if it is negative."""
    return lambda node, rank: number % rank


def _gemm_channels(node: ir.Node, rank: int) -> int:
    return 0 if node.attributes.get_int("transB", 0) else 1


def _gemm_inputs(node: ir.Node) -> int | None:
    """Return the axis of a Gemm's inputs; None if it sums over the first axis of its input."""
    if node.attributes.get_int("transA", 0):
        return None
    return 1 if node.attributes.get_int("transB", 0) else 0


def _gemm_left_channels(node: ir.Node, rank: int) -> int:
    return 1 if node.attributes.get_int("transA", 0) else 0


def _is_plain_gemm(node: ir.Node) -> bool:
    """Return True if a Gemm has no factors and its input is not transposed."""
    attributes = node.attributes
    factors = attributes.get_float("alpha", 1.0), attributes.get_float("beta", 1.0)
    return factors == (1.0, 1.0) and attributes.get_int("transA", 0) == 0


def _recurrent(name: str, dynamic_kernel: str | None = None) -> Operator:
    """Return a recurrent operator with W (directions, gates * hidden, inputs) and R (.., gates * hidden, hidden)."""
    reason = f"ONNX Runtime runs {name} in float"
    return Operator(
        name,
        weights=(
            WeightOperand(
                1, 0, channel_axis=_axis(1), suffix="/W", matrix_form=Recurrent(), stacked=True, recurrent=True,
                inputs_axis=lambda node: 2, float_reason=reason,
            ),
            WeightOperand(
                2, 0, channel_axis=_axis(1), suffix="/R", matrix_form=Recurrent(), stacked=True, reads_states=True,
                recurrent=True, float_reason=reason,
            ),
        ),
        dynamic_kernel=dynamic_kernel,
    )  # fmt: skip


CONV = Operator(
    "Conv",  # weight (outputs, inputs / groups, *kernel)
    weights=(
        WeightOperand(
            1, 0, channel_axis=_axis(0), output_axis=1, matrix_form=Convolution(), integer_kernel="QLinearConv"
        ),
    ),
    bias_index=2,
    spatial=True,
)
CONV_TRANSPOSE = Operator(
    "ConvTranspose",  # weight (inputs, outputs / groups, *kernel)
    weights=(
        WeightOperand(
            1, 0, channel_axis=_axis(1), output_axis=1, matrix_form=TransposedConvolution(),
            float_reason="ONNX Runtime runs ConvTranspose in float",
        ),
    ),
    bias_index=2,
    spatial=True,
    transposed=True,
    grouped_outputs=True,
)  # fmt: skip
GEMM = Operator(
    "Gemm",  # weight (inputs, outputs), or (outputs, inputs) with transB; on the left the other way round, with transA
    weights=(
        WeightOperand(
            1, 0, channel_axis=_gemm_channels, output_axis=-1, matrix_form=Product(), reduces_matrix=True,
            inputs_axis=_gemm_inputs, integer_kernel="QGemm",
        ),
    ),
    alternative=WeightOperand(
        0, 1, channel_axis=_gemm_left_channels, matrix_form=Product(weight_on_left=True),
        float_reason="ONNX Runtime has no integer Gemm with its weight on the left",
    ),
    bias_index=2,
    writes_float=True,
    is_matmul=_is_plain_gemm,
)  # fmt: skip
MATMUL = Operator(
    "MatMul",  # weight (..., inputs, outputs), or on the left (..., outputs, inputs)
    weights=(
        WeightOperand(
            1, 0, channel_axis=_axis(-1), output_axis=-1, matrix_form=Product(), stacked=True, reduces_matrix=True,
            inputs_axis=lambda node: 0, integer_kernel="MatMulIntegerToFloat",
        ),
    ),
    alternative=WeightOperand(
        0, 1, channel_axis=_axis(-2), matrix_form=Product(weight_on_left=True), stacked=True,
        float_reason="ONNX Runtime has no integer MatMul with its weight on the left",
    ),
    bias_follows=True,
    writes_float=True,
    batched=True,
    is_matmul=lambda node: True,
)  # fmt: skip
GATHER = Operator(
    "Gather",  # an embedding (entries, width): a scale an entry
    weights=(WeightOperand(0, 1, channel_axis=_axis(0), float_reason="a lookup has no arithmetic"),),
    lookup=True,
)
OPERATORS = {
    operator.name: operator
    for operator in (
        CONV, CONV_TRANSPOSE, GEMM, MATMUL,
        _recurrent("LSTM", dynamic_kernel="DynamicQuantizeLSTM"), _recurrent("GRU"), _recurrent("RNN"), GATHER,
    )
}  # fmt: skip
"""Every operator whose weight can be quantized, by name."""


def operator_of(node: ir.Node) -> Operator | None:
    """Return the operator of a node that can have a weight, or None for any other node."""
    return OPERATORS.get(node.op_type) if node.domain == "" else None


def _named(*names: str) -> Callable[[AnyNode], bool]:
    """Return a predicate that is True for nodes of these operators."""
    accepted = frozenset(names)
    return lambda node: node.op_type in accepted


is_convolution = _named(CONV.name)
"""Return True if the node is a Conv."""
is_add = _named("Add")
"""Return True if the node is an Add."""
is_mul = _named("Mul")
"""Return True if the node is a Mul."""
is_layer_norm = _named("LayerNormalization")
"""Return True if the node is a LayerNormalization."""
is_min = _named("Min")
"""Return True if the node is a Min."""
is_relu = _named("Relu")
"""Return True if the node is a Relu."""
is_clip = _named("Clip")
"""Return True if the node is a Clip."""
is_rectifier = _named("Relu", "Clip")
"""Return True if the node limits each element to fixed bounds; integer kernels absorb it by saturating."""
is_never_negative = _named("Relu", "Sigmoid")
"""Return True if no output of the node is negative, whatever its input."""
is_pad = _named("Pad")
"""Return True if the node is a Pad."""
is_resize = _named("Resize")
"""Return True if the node is a Resize."""
is_slice = _named("Slice")
"""Return True if the node is a Slice."""
is_batchnorm = _named("BatchNormalization")
"""Return True if the node is a BatchNormalization."""
is_constant = _named("Constant")
"""Return True if the node is a Constant."""
is_random = _named(
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"
)
"""Return True if the node draws random numbers, at least in training."""


def draws_random_numbers(node: ir.Node) -> bool:
    """Return True if the node draws random numbers in inference; a Dropout does so only in its training mode."""
    if node.op_type != "Dropout":
        return is_random(node)
    mode = node.inputs[_TRAINING_MODE] if len(node.inputs) > _TRAINING_MODE else None
    constant = None if mode is None else constant_tensor(mode)
    return mode is not None and (constant is None or bool(constant.numpy()))


is_cast = _named("Cast")
"""Return True if the node is a Cast."""
is_quantize = _named("QuantizeLinear")
"""Return True if the node is a QuantizeLinear."""
is_dequantize = _named("DequantizeLinear")
"""Return True if the node is a DequantizeLinear."""
is_dynamic_quantize = _named("DynamicQuantizeLinear")
"""Return True if the node is a DynamicQuantizeLinear."""
needs_float32 = _named(
    "Acos", "Asin", "Cosh", "CumProd", "CumSum", "Exp", "GroupNormalization", "InstanceNormalization",
    "LayerNormalization", "Log", "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "NonMaxSuppression",
    "Pow", "RMSNormalization", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Resize", "Sinh", "Softmax", "Softplus", "Sqrt",
    "Tan", "Upsample",
)  # fmt: skip
"""Return True if the node sums, divides or exponentiates values whose range float16 may not hold.

These are the operators that PyTorch's automatic mixed precision runs in float32, and Resize, whose positions and
factors float16 holds to 11 bits.
"""
types_by_attribute = _named(
    "Bernoulli", "ConstantOfShape", "DequantizeLinear", "EyeLike", "Multinomial", "QuantizeLinear", "RandomNormal",
    "RandomNormalLike", "RandomUniform", "RandomUniformLike",
)  # fmt: skip
"""Return True if an attribute or the type of a scale decides the type of what the node writes."""
reads_shape_only = _named("Shape", "Size")
"""Return True if the output depends on the shape of the input, not on its values."""
keeps_channel_moments = _named(
    "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "Reshape", "Squeeze", "Identity", "Dropout"
)
"""Return True if each channel's mean and variance are about the same before and after the node."""
moves_values = _named(
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Resize", "Slice", "Pad"
)  # fmt: skip
"""Return True if an integer kernel copies elements of the first input: both sides share one scale."""
computes_with_own_scales = _named("Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat", "LeakyRelu", "Sigmoid")
"""Return True if an integer kernel takes the node once all its inputs are quantized, with scales of its own."""
joins = _named("Concat")
"""Return True if the output holds the elements of all inputs, one beside the other."""
rearranges_weight = _named(
    "Add", "BitShift", "BitwiseAnd", "Cast", "Gather", "GatherElements", "Identity", "Mul", "Reshape", "Slice",
    "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
"""Return True if the node can lie between stored codes, their DequantizeLinear and the layer that reads them."""

_INTEGER_OPERATORS = {
    "": frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}),
    "com.microsoft": frozenset({
        "QGemm", "MatMulNBits", "MatMulBnb4", "MatMulIntegerToFloat", "MatMulInteger16", "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM", "GatherBlockQuantized", "QAttention", "QOrderedMatMul", "QMoE",
    }),
}  # fmt: skip


def computes_with_integers(node: ir.Node) -> bool:
    """Return True if the node is a layer that was quantized before, written as an integer operator."""
    return node.op_type in _INTEGER_OPERATORS.get(node.domain, ())


_FLOAT_WEIGHTS: dict[tuple[str, str], tuple[int, ...]] = {
    ("", "Einsum"): (0, 1),
    ("", "DeformConv"): (1,),
    **dict.fromkeys(
        (("com.microsoft", name) for name in (
            "Attention", "ConvTransposeWithDynamicPads", "DecoderMaskedSelfAttention", "FusedConv", "FusedGemm",
            "LongformerAttention", "NhwcFusedConv", "PackedAttention",
        )), (1,),
    ),
    **dict.fromkeys(
        (("com.microsoft", name) for name in (
            "FusedMatMul", "FusedMatMulActivation", "TransposeMatMul",
        )), (0, 1),
    ),
    ("com.microsoft", "DecoderAttention"): (3, 4),
    ("com.microsoft", "EmbedLayerNormalization"): (2, 3, 4),
    ("com.microsoft", "MoE"): (2, 4),
}  # fmt: skip
"""Operands that can hold a weight of operators that are never quantized, by domain and name."""


def float_weights(node: ir.Node) -> list[ir.Value]:
    """Return the constant matrices of a node whose operator is never quantized; none for any other node."""
    indexes = _FLOAT_WEIGHTS.get((node.domain, node.op_type), ())
    operands = (node.inputs[index] for index in indexes if index < len(node.inputs))
    return [value for value in operands if value is not None and _is_float_matrix(value)]


def _is_float_matrix(value: ir.Value) -> bool:
    tensor = constant_tensor(value)
    return tensor is not None and tensor.dtype.is_floating_point() and len(tensor.shape) > 1
