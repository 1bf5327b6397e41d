"""The normal form of a float model, and the passes that lead to it.

Ensures, in the main graph and in the bodies of If, Loop and Scan:

- the model has opset 21 or later and the IR version that this opset needs;
- there are no local functions, and no FP16 or BF16 tensors between the model's inputs and outputs;
- a constant is an initializer, is read, and is no graph input; constant expressions are folded;
- an Einsum with a constant matrix is a MatMul where the rules allow it;
- constant Gemm factors are 1, the bias of a Gemm is (N,), and the bias of a MatMul has one axis where the rules allow;
- constant bounds of a Clip are scalars;
- zero borders and per-channel scales and shifts are part of the adjacent layer where the rules allow it;
- nodes are in topological order, and each has a unique name;
- inputs and outputs have the names, types and shapes of the float model.
"""

from collections.abc import Callable

import onnx_ir as ir

from quant.graph.normalise.batchnorm import fold_batchnorm
from quant.graph.normalise.clip import simplify_clip
from quant.graph.normalise.convert import at_opset, raise_ir_version
from quant.graph.normalise.einsum import rewrite_einsum
from quant.graph.normalise.float32 import to_float32
from quant.graph.normalise.fold import fold_constants
from quant.graph.normalise.initializers import lift_constants
from quant.graph.normalise.inline import inline_functions
from quant.graph.normalise.linear import simplify_linear
from quant.graph.normalise.names import name_nodes
from quant.graph.normalise.pads import fold_pads
from quant.graph.normalise.unused import remove_unused
from quant.graph.signature import declare_types, signature_of
from quant.runtime import Feeds, Session

OPSET = 21
"""The first opset with 4-bit integers and blockwise scales."""

PASSES: tuple[Callable[[ir.Model], None], ...] = (
    lift_constants,
    fold_constants,
    rewrite_einsum,
    simplify_linear,
    simplify_clip,
    fold_pads,
    fold_batchnorm,
    remove_unused,
    name_nodes,
    raise_ir_version,
)
"""The passes after the conversion of the opset, in order. Each rewrites the model in place."""


def normalise(
    model: ir.Model,
    opset: int = OPSET,
    sample: Feeds | None = None,
    reference: Session | None = None,
    *,
    compare: bool = True,
) -> ir.Model:
    """Return a model that computes the same outputs in normal form.

    1. Inline local functions.
    2. Compute in FP32 instead of FP16 and BF16.
    3. Convert the model to `opset`.
    4. Run `PASSES` in order.
    5. Declare the inputs and outputs as the float model does.

    The model is rewritten in place up to the conversion, which may return another one.

    Args:
        model: a float model of opset 7 to 26.
        opset: the lowest opset of the result, 21 or later.
        sample: one batch that the model accepts. The conversion compares outputs before and after on it; without it,
            on generated inputs.
        reference: a session of the model before any pass, to save loading it again.
        compare: False for a model that is too large to run; then the conversion compares nothing.

    Raises:
        UnsupportedOpset: the model cannot be converted to that opset.
        UnsupportedOperator: a local function has another opset than the model, or calls itself.
    """
    signature = signature_of(model)
    inline_functions(model)
    if to_float32(model):
        reference = None  # it computes in FP16
    model = at_opset(model, opset, sample, reference, compare=compare)
    for rewrite in PASSES:
        rewrite(model)
    declare_types(model, signature)
    return model
