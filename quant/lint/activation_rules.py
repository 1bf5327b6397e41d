"""Rules on the codes of activations."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from quant.graph.operators import is_dequantize, is_quantize
from quant.lint.quantized_graph import Codes, QuantizedGraph, Violation

_TOLERANCE = 1e-6
"""The relative difference up to which two scales are the same."""


def types(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the activations whose codes have a type that the machine does not take."""
    accepted = graph.limits.activation_types
    for name, codes in graph.activations.items():
        if accepted and codes.dtype not in accepted:
            yield Violation(name, f"the codes of the activation are {codes.dtype}", " or ".join(accepted))


def zero_points(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the activations whose zero point is not 0, for machines without zero points."""
    for name, codes in graph.activations.items():
        if graph.limits.zero_point_free and codes.zero_point.any():
            accepted = "zero point 0: activations.symmetric true with signed codes"
            yield Violation(name, "the zero point of the activation is not 0", accepted)


def powers_of_two(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the activations and the layers whose scale is no power of two, for machines that shift."""
    if not graph.limits.power_of_two:
        return
    weights = ((weight.name, weight.codes) for weight in graph.weights if weight.codes is not None)
    for name, codes in (*graph.activations.items(), *weights):
        if np.frexp(codes.scale)[0].min() != 0.5 or np.frexp(codes.scale)[0].max() != 0.5:
            yield Violation(name, "the scale is no power of two", "scale power_of_two of activations and weights")


def shared_scales(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the nodes whose output has another scale or zero point than an input, where the machine needs the same."""
    for node in graph.nodes:
        if not graph.limits.same_scales.intersection((node.op_type,)):
            continue
        output = _written(node)
        inputs = [codes for codes in map(_read, node.inputs) if codes is not None]
        if output is not None and any(not _same(output, codes) for codes in inputs):
            detail = f"the output of {node.op_type} has another scale than its input"
            yield Violation(str(node.name), detail, f"{node.op_type} in exclude_operators, or equal ranges")


def fixed_scales(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the nodes whose output has another scale or zero point than the one that the machine prescribes."""
    for node in graph.nodes:
        fixed = graph.limits.fixed_scales.get(node.op_type)
        output = _written(node)
        if fixed is None or output is None:
            continue
        scale, zero_point = fixed
        if not _same(output, Codes(output.dtype, np.array(scale), np.array(zero_point))):
            detail = f"the output of {node.op_type} has another scale or zero point than the machine's kernel"
            accepted = f"scale {scale:g} and zero point {zero_point}, or {node.op_type} in exclude_operators"
            yield Violation(str(node.name), detail, accepted)


def _same(first: Codes, second: Codes) -> bool:
    close = np.allclose(first.scale, second.scale, rtol=_TOLERANCE, atol=0)
    return close and bool(np.array_equal(first.zero_point, second.zero_point))


def _read(value: ir.Value | None) -> Codes | None:
    """Return the codes that a value is dequantized from; None for a float."""
    producer = None if value is None else value.producer()
    return None if producer is None or not is_dequantize(producer) else Codes.of(producer)


def _written(node: ir.Node) -> Codes | None:
    """Return the codes that the first output of a node is quantized to; None for a float."""
    readers = [use.node for use in node.outputs[0].uses() if is_quantize(use.node)]
    return Codes.of(readers[0]) if readers else None
