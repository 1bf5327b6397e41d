"""Inlining local functions: after it a model is made of operators alone."""

import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.errors import UnsupportedOperator


def inline_functions(model: ir.Model) -> None:
    """Replace each call by the nodes of its function.

    Raises:
        UnsupportedOperator: a function is of another opset than the model, or calls itself.
    """
    try:
        passes.InlinePass()(model)
    except (ValueError, ir.passes.InvariantError) as error:
        first = str(error).split("\n")[0][:300]
        raise UnsupportedOperator(
            f"a local function cannot be inlined: {first}; accepted: functions of the model's own opset"
        ) from None
