"""Rewriting of the operators that follow a MatMul layer, so that ONNX Runtime uses its kernels for quantized weights.

ONNX Runtime fuses a MatMul with the operators after it before it looks for quantized weights. The weight is then
dequantized at every inference, which takes 5 to 18 times as long as the float model.

Rewrite rules:

1. Add after a MatMul of at most two axes -> Sum of the same two operands. ONNX Runtime makes a Gemm of MatMul and Add,
   and fuses a Gemm with a DequantizeLinear only if its bias is a constant vector.
2. Relu or Clip after a MatMul, or after the Add of its bias -> Max and Min. ONNX Runtime fuses a Relu or Clip with the
   MatMul, or a Relu with the QuantizeLinear after it if several operators read the value, and then no longer fuses the
   MatMul with the DequantizeLinear of its weight.

Ensures: the same outputs.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant.export.matmul import substitute
from quant.graph.constants import add_initializer, constant_tensor
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.operators import is_add, is_rectifier, is_relu
from quant.graph.ranks import ranks_of
from quant.graph.uses import only_use
from quant.weights.storage_form import StorageForm

MATRIX_RANK = 2
"""The most axes of a product that ONNX Runtime turns into a Gemm together with an Add."""


def rewrite_followers(
    model: ir.Model, layers: Iterable[tuple[Layer, StorageForm]], quantized: Container[str], names: Names
) -> None:
    """Rewrite the operators after the MatMul and Gemm layers whose weights are not folded, in place.

    Args:
        model: the float model, before its weights are replaced.
        layers: its layers, each with the form of its weight.
        quantized: the names of the activations that will be quantized; the operators that make them are left alone.
        names: the names in use in the model.
    """
    chains = [_Chain.after(layer, form) for layer, form in layers if _is_product(layer, form)]
    chains = [chain for chain in chains if str(chain.product.name) not in quantized]
    ranks = ranks_of(model) if any(chain.add is not None for chain in chains) else {}
    replaced: set[ir.Node] = set()
    for chain in chains:
        if chain.add in replaced:  # it adds two products, and the first was handled already
            continue
        if chain.add is not None and _is_fused(chain.operand, ranks.get(str(chain.product.name))):
            _replace_by_sum(chain.add, names)
            replaced.add(chain.add)
            continue
        total = chain.product if chain.add is None else chain.add.outputs[0]
        for rectifier in _separate_rectifiers(total, quantized):
            _replace_rectifier(rectifier, names)


def _separate_rectifiers(value: ir.Value, quantized: Container[str]) -> list[ir.Node]:
    """Return the Relu and Clip nodes after a product or sum that keep ONNX Runtime from its kernels.

    A node that is the only reader of the value does so if its output stays in float. Of several readers, those do whose
    output is quantized.
    """
    if str(value.name) in quantized or value.is_graph_output():
        return []
    uses = tuple(value.uses())
    rectifiers = [use.node for use in uses if use.idx == 0 and is_rectifier(use.node)]
    rectifiers = [node for node in rectifiers if not node.outputs[0].is_graph_output()]
    several = len(uses) > 1
    return [node for node in rectifiers if (str(node.outputs[0].name) in quantized) == several]


@dataclass(frozen=True)
class _Chain:
    """The output of a layer, and the Add that alone reads it, with the other operand of the Add.

    `add` is None where the layer adds a bias of its own, or where another operator follows.
    """

    product: ir.Value
    add: ir.Node | None = None
    operand: ir.Value | None = None

    @classmethod
    def after(cls, layer: Layer, form: StorageForm) -> "_Chain":
        """Return the chain that begins with a layer's output."""
        product = layer.node.outputs[0]
        add, index = only_use(product)
        stays_gemm = form is not StorageForm.MATMUL_NBITS and not layer.operator.bias_follows
        if add is None or not is_add(add) or layer.bias is not None or stays_gemm:
            return cls(product)
        return cls(product, add, add.inputs[1 - index])


def _is_product(layer: Layer, form: StorageForm) -> bool:
    """Return True for a MatMul or Gemm whose weight is dequantized before it runs, unless a kernel is fused."""
    return form not in (StorageForm.FOLDED, StorageForm.DYNAMIC) and layer.operator.is_product


def _is_fused(other: ir.Value | None, rank: int | None) -> bool:
    """Return True if ONNX Runtime makes a slow Gemm of a product of this rank and the Add of the operand `other`."""
    bias = constant_tensor(other)
    kernel_adds = bias is not None and len(bias.shape) <= 1 and rank != 1
    return (rank is None or rank <= MATRIX_RANK) and not kernel_adds


def _replace_by_sum(add: ir.Node, names: Names) -> None:
    """Let a Sum take over the name, the operands and the output of an Add."""
    graph = add.graph
    assert isinstance(graph, ir.Graph), "normalised models have no functions"
    total = ir.Node("", "Sum", list(add.inputs), num_outputs=1, name=add.name)
    graph.insert_before(add, total)
    substitute(graph, add.outputs[0], total.outputs[0], names)


def _replace_rectifier(node: ir.Node, names: Names) -> None:
    """Replace a Relu or Clip by an equal Max(x, 0) or Min(Max(x, a), b)."""
    graph, value = node.graph, node.outputs[0]
    assert isinstance(graph, ir.Graph), "normalised models have no functions"
    if is_relu(node):
        steps = [("Max", add_initializer(graph, f"{node.name}_zero", np.zeros((), np.float32), names))]
    else:
        bounds = zip(("Max", "Min"), node.inputs[1:], strict=False)
        steps = [(op, bound) for op, bound in bounds if bound is not None]
    current = node.inputs[0]
    for op, bound in steps:
        name = names.node(f"{node.name}_{op.lower()}")
        step = ir.Node("", op, [current, bound], num_outputs=1, name=name)
        step.outputs[0].name = names.value(f"{value.name}_{op.lower()}")
        graph.insert_before(node, step)
        current = step.outputs[0]
    if current is not None and steps:
        substitute(graph, value, current, names)
