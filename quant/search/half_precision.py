"""Models that compute in float16 or store their floats so (`precision: fp16`, `export.float_storage: fp16`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from quant.calibration.magnitudes import MagnitudeObserver
from quant.calibration.observers import observe
from quant.evaluation.sqnr import sqnr_db
from quant.export.float16 import Float32Node, StoredHalves, convert_to_float16
from quant.export.float_storage import store_as_float16
from quant.graph.value_types import infer_types
from quant.outcome.stages import Stage
from quant.progress import Progress, sample_progress
from quant.search.choice import Choice
from quant.search.context import NO_RANGES, CalibratedContext, SearchContext
from quant.spec import Spec


def compute_in_float16(context: SearchContext, progress: Progress) -> Choice:
    """Return the model of a context in float16; calibration data find the values that need float32.

    Raises:
        ModelError: the model does not run on the calibration data.
    """
    magnitudes: dict[str, float] = {}
    model = context.model.clone()
    if isinstance(context, CalibratedContext):
        infer_types(model)
        observer = MagnitudeObserver(model.graph)
        observe(context.graph, context.calibration, [observer], sample_progress(progress, Stage.CALIBRATING))
        magnitudes = observer.largest
    stored, float32 = convert_to_float16(model, magnitudes)
    stored = stored.plus(store_as_float16(model))  # of bodies, which compute in float32
    compared: dict[str, float | None] | None = {} if isinstance(context, CalibratedContext) else None
    return Choice(
        context=context,
        name="float16" + context.variant.suffix,
        model=model,
        layers=[],
        option=NO_RANGES,
        shifts={},
        compared=compared,
        float16=_entry(stored, float32),
    )


def store_floats(choice: Choice) -> Choice:
    """Return the choice with its float constants stored as the spec says; its model is changed in place."""
    spec = choice.context.spec
    if spec.export.float_storage == "fp32" or spec.precision == "fp16":
        return choice
    return replace(choice, float16=_entry(store_as_float16(choice.model), []))


def set_float_types(model: ir.Model, spec: Spec) -> None:
    """Convert a model without calibration data as the spec says, in place."""
    if spec.precision == "fp16":
        convert_to_float16(model, {})
    if spec.precision == "fp16" or spec.export.float_storage == "fp16":
        store_as_float16(model)


def _entry(stored: StoredHalves, float32: Sequence[Float32Node]) -> dict[str, Any]:
    """Return the report's `float16`."""
    return {
        "values": stored.values,
        "sqnr_db": sqnr_db(stored.signal, stored.noise) if stored.values else None,
        "float32_nodes": [{"name": node.name, "op": node.op, "reason": node.reason} for node in float32],
    }
