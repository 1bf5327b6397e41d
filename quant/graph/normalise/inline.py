"""Inlining of local functions.

Rewrite rule:

1. A call of a local function -> the nodes of its body.

Ensures: the model has no local functions.
"""

import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.errors import UnsupportedOperator


def inline_functions(model: ir.Model) -> None:
    """Replace each call of a local function by the function's nodes, in place.

    Raises:
        UnsupportedOperator: a function has another opset than the model, or calls itself.
    """
    try:
        passes.InlinePass()(model)
    except (ValueError, ir.passes.InvariantError) as error:
        reason = str(error).split("\n")[0][:300]
        raise UnsupportedOperator(
            f"a local function cannot be inlined: {reason}; accepted: functions with the opset of their model"
        ) from None
