"""Bringing a model to the form that the rest of quant works on.

Ensures: opset 21 or later; FP32 inside; no local functions; constants are initializers, and so is what is computed
from them alone; initializers are not graph inputs, and all are used; BatchNormalization behind a layer is folded into
it, and so are borders of zeros before a Conv; a constant Gemm factor is 1; every node has a name of its own. All of it
in the bodies of If, Loop and Scan, too.
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.graph.constants import add_initializer, constant, shortened
from quant.graph.normalise.batchnorm import fold_batchnorm
from quant.graph.normalise.convert import at_opset
from quant.graph.normalise.float32 import to_float32
from quant.graph.normalise.fold import fold_constants
from quant.graph.normalise.inline import inline_functions
from quant.graph.normalise.pads import fold_pads
from quant.runtime import Feeds, Session

OPSET = 21

IR_VERSIONS = {21: 10, 25: 13}
"""For an opset and those after it the IR version of its new types: INT4, then INT2."""


def normalise(
    model: ir.Model,
    opset: int = OPSET,
    sample: Feeds | None = None,
    reference: Session | None = None,
    *,
    compare: bool = True,
) -> ir.Model:
    """A model that computes the same outputs in the form above, at `opset` (21 or later) unless it is of a later one.

    `sample` is one batch that the model takes; where it is given, outputs before and after are compared for it.
    `reference` is the model as it is, loaded, which is done here where it is not given. A model that is too large to be
    run is not to be compared at all.

    Raises:
        UnsupportedOpset: the model cannot be brought to that opset.
        UnsupportedOperator: a local function is of another opset than the model, or calls itself.
    """
    inline_functions(model)
    if to_float32(model):
        reference = None  # it computes in FP16
    model = at_opset(model, opset, sample, reference, compare=compare)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    fold_constants(model)
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in graph:
            if node.op_type == "Gemm" and node.domain == "":
                _fold_gemm_factors(graph, node)
            elif node.op_type == "Add" and node.domain == "":
                _flatten_bias(graph, node)
        fold_pads(graph)
        fold_batchnorm(graph)
    passes.RemoveUnusedNodesPass()(model)
    for graph in model.graph.subgraphs():
        _remove_unused_initializers(graph)
    passes.TopologicalSortPass()(model)
    _name_nodes(model.graph)
    model.ir_version = max(
        model.ir_version, *(version for first, version in IR_VERSIONS.items() if model.opset_imports[""] >= first)
    )
    return model


def _fold_gemm_factors(graph: ir.Graph, node: ir.Node) -> None:
    """alpha goes into a constant B, beta into a constant C: the integer kernels know neither."""
    for name, index in (("alpha", 1), ("beta", 2)):
        factor = node.attributes.get_float(name, 1.0)
        value = node.inputs[index] if index < len(node.inputs) else None
        array = constant(value)
        if factor == 1.0 or value is None or array is None:
            continue
        scaled = (array.astype(np.float64) * factor).astype(array.dtype)
        node.replace_input_with(index, add_initializer(graph, f"{value.name}_{name}", scaled))
        node.attributes.add(ir.AttrFloat32(name, 1.0))


def _flatten_bias(graph: ir.Graph, add: ir.Node) -> None:
    """A bias (1, N) of a MatMul becomes (N,): with the longer shape ONNX Runtime makes both a Gemm, and a
    dequantized weight of that stays as it is."""
    for index, value in enumerate(add.inputs):
        array, other = constant(value), add.inputs[1 - index]
        producer = other.producer() if other is not None else None
        if value is None or array is None or producer is None or producer.op_type != "MatMul":
            continue
        if array.ndim == 2 and array.shape[0] == 1 and array.shape[1] > 1:
            add.replace_input_with(index, add_initializer(graph, f"{value.name}_flat", array.reshape(-1)))


def _remove_unused_initializers(body: ir.Graph) -> None:
    for name, value in list(body.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del body.initializers[name]


def _name_nodes(graph: ir.Graph) -> None:
    """A name for every node, those in bodies too, and each its own; long names of what flows between are shortened."""
    taken: set[str] = set()
    for index, node in enumerate(ir.traversal.RecursiveGraphIterator(graph)):
        base = node.name or f"{node.op_type}_{index}"
        name, number = base, 1
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        node.name = name
        taken.add(name)
        for value in node.outputs:
            if value.name and not value.is_graph_output():
                value.name = shortened(value.name)
