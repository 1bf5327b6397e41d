"""Rules on the codes of weights and on biases."""

from collections.abc import Iterator

import numpy as np

from quant.graph.operators import computes_with_integers
from quant.lint.quantized_graph import QuantizedGraph, Violation
from quant.weights.pair_sums import MAX_PAIR, is_paired, pair_excess, sum_order

_NARROW = -127
"""The least code of a weight with a symmetric range."""


def types(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers whose weight has codes of a type that the machine does not take."""
    accepted = graph.limits.weight_types
    for weight in graph.weights:
        if accepted and weight.codes is not None and weight.stored and weight.codes.dtype not in accepted:
            yield Violation(weight.name, f"the codes of the weight are {weight.codes.dtype}", " or ".join(accepted))


def forms(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers whose weight is not read by a DequantizeLinear from the file, where the machine needs that."""
    if not graph.limits.weight_types:
        return
    accepted = "the standard DequantizeLinear: export.weight_storage direct, grid uniform and static activations"
    for weight in graph.weights:
        if not weight.stored:
            yield Violation(weight.name, "nodes compute the weight from its stored codes", accepted)
    for node in graph.nodes:
        if computes_with_integers(node):
            yield Violation(str(node.name), f"{node.op_type} computes with integers", accepted)


def granularity(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers whose weights share scales in another way than the machine takes."""
    accepted = graph.limits.weight_scales
    for weight in graph.weights:
        if accepted and weight.per and weight.per not in accepted:
            detail = f"the weight has a scale per {weight.per}"
            yield Violation(weight.name, detail, f"weights.granularity {' or '.join(accepted)}")


def zero_points(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers whose weight has zero points other than 0, for all machines with rules on weights."""
    for weight in graph.weights:
        if graph.limits.weight_types and weight.codes is not None and weight.codes.zero_point.any():
            yield Violation(weight.name, "the weight has zero points other than 0", "symmetric weights")


def narrow_range(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers whose weight has the code -128, where the machine takes codes from -127."""
    for weight in graph.weights if graph.limits.narrow_weights else ():
        codes = weight.array()
        if codes is not None and codes.astype(np.int16).min() < _NARROW:
            yield Violation(weight.name, "the weight has the code -128", "codes from -127 to 127")


def biases(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the quantized layers whose bias has a form that the machine does not take."""
    accepted = graph.limits.bias
    for name, form in graph.biases.items():
        if accepted and form not in accepted:
            yield Violation(name, f"the bias is {form}", f"export.bias {' or '.join(accepted)}")


def pair_sums(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers of which a sum of two adjacent products may not fit 16 bits."""
    if not graph.limits.int16_pair_sums:
        return
    for weight in graph.weights:
        kernel = weight.operand.integer_kernel is not None and weight.has_quantized_input
        codes = weight.array() if kernel else None
        if codes is None or not is_paired(weight.operator, weight.node, codes.shape):
            continue
        ordered = sum_order(codes, weight.operator, weight.operand.channel_axis(weight.node, codes.ndim))
        rows = int((pair_excess(ordered.astype(np.int16)) > 0).sum())
        if rows:
            detail = "a sum of two products with 8-bit activations can exceed 32767, and saturates without VNNI"
            yield Violation(weight.name, detail, f"pairs of codes up to {MAX_PAIR}: weights.pair_sums int16")
