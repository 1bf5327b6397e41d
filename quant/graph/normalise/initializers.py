"""Lifting of constants to initializers.

Rewrite rules:

1. An initializer that is also a graph input -> an initializer only.
2. A Constant node -> an initializer.

Ensures: a constant is an initializer that no caller can override.
"""

import onnx_ir as ir
from onnx_ir.passes import common as passes


def lift_constants(model: ir.Model) -> None:
    """Turn Constant nodes and default values of inputs into plain initializers, in place."""
    passes.RemoveInitializersFromInputsPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
