"""The quantization spec: the options of a job, with presets and defaults.

Importing this package loads neither onnx nor scipy, because the gateway validates specs with it.
"""

from quant.spec.capabilities import capabilities, json_schema
from quant.spec.document import Metric, Spec
from quant.spec.evaluation import Evaluation
from quant.spec.layer_rules import LayerRule, OperatorMatch, WeightsOverride
from quant.spec.profiles import PROFILES
from quant.spec.requirements import adapt_to_data, require_data
from quant.spec.resolve import PRESET_DESCRIPTIONS, PRESETS, resolve
from quant.spec.sections import Activations, Budget, Export, Gates, Measure, ModuleInput, TorchScript, Weights

__all__ = [
    "PRESETS",
    "PRESET_DESCRIPTIONS",
    "PROFILES",
    "Activations",
    "Budget",
    "Evaluation",
    "Export",
    "Gates",
    "LayerRule",
    "Measure",
    "Metric",
    "ModuleInput",
    "OperatorMatch",
    "Spec",
    "TorchScript",
    "Weights",
    "WeightsOverride",
    "adapt_to_data",
    "capabilities",
    "json_schema",
    "require_data",
    "resolve",
]
