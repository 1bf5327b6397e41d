"""Post-training quantization as a library: from a float model and its data to a quantized model and a report.

    from quant import Inputs, quantize_model

    outcome = quantize_model(Inputs(Path("model.onnx"), "model.onnx", {"preset": "int8-weights"}), Path("out"))

The public names are loaded when they are first used. A program that only reads specs (`quant.spec`) loads neither
onnx nor ONNX Runtime.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# The threads of OpenBLAS busy-wait for the next product, 30 ms by default, and compete with everything else for the
# processors; with this value they wait half a millisecond. NumPy reads it when it is loaded, so it is set first.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

# ONNX Runtime sends usage events to its maker and keeps a database of them in the user's home unless this is set when
# it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from quant.errors import FieldError, QuantdError
    from quant.outcome.gates import GateResult
    from quant.outcome.stages import Stage
    from quant.outcome.summary import Summary
    from quant.pipeline import Inputs, Log, Outcome, quantize_model
    from quant.progress import Progress
    from quant.spec import Spec, resolve

__all__ = [
    "FieldError",
    "GateResult",
    "Inputs",
    "Log",
    "Outcome",
    "Progress",
    "QuantdError",
    "Spec",
    "Stage",
    "Summary",
    "quantize_model",
    "resolve",
]

_MODULES = {
    "FieldError": "quant.errors",
    "GateResult": "quant.outcome.gates",
    "Inputs": "quant.pipeline",
    "Log": "quant.pipeline",
    "Outcome": "quant.pipeline",
    "Progress": "quant.progress",
    "QuantdError": "quant.errors",
    "Spec": "quant.spec",
    "Stage": "quant.outcome.stages",
    "Summary": "quant.outcome.summary",
    "quantize_model": "quant.pipeline",
    "resolve": "quant.spec",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
