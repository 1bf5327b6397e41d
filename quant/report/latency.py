"""Latency of a job's result: the models and the inputs that are timed, or the reason why none are."""

from functools import partial
from pathlib import Path

import onnx_ir as ir

from quant.calibration.observers import profiled
from quant.data.dataset import Dataset
from quant.errors import QuantdError
from quant.evaluation.latency import TimedModels, is_slower, measure_latency
from quant.evaluation.timed_inputs import NO_INPUTS, timed_inputs
from quant.graph.executed_names import executed_names
from quant.outcome.latency import Latency
from quant.spec import Spec

KEEP_FLOAT = "; keep_float: slower leaves such layers in float"
IN_LAYERS = "the model was quantized layer by layer, because it is too large to be held in memory"


def latency_of(
    reference: Path, model: ir.Model, quantized: bytes, dataset: Dataset | None, spec: Spec
) -> Latency | None:
    """Return the latency of a job's float and quantized model; None where the spec asks for no measurement.

    If the models cannot be timed, the result holds the reason, and the job goes on.

    Args:
        reference: the uploaded model.
        model: the float model whose nodes have the layers' names.
        quantized: the bytes of the quantized model.
        dataset: the data that the models are run on; None for random inputs.
        spec: the resolved spec.
    """
    if not spec.measures_latency:
        return None
    inputs = timed_inputs(model, dataset)
    if inputs is None:
        return Latency.unmeasured(NO_INPUTS)
    models = TimedModels(reference, partial(profiled, model), quantized, executed_names(model))
    try:
        latency = measure_latency(models, inputs, always=spec.always_measures_latency)
    except QuantdError as error:
        return Latency.unmeasured(f"the models could not be timed: {error.detail}")
    except MemoryError:
        return Latency.unmeasured("there is too little memory to load both models again")
    remedy = KEEP_FLOAT if spec.may_keep_float and any(map(is_slower, latency.layers)) else ""
    return latency.model_copy(update={"warnings": tuple(warning + remedy for warning in latency.warnings)})
