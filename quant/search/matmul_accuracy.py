"""The accuracy of MatMul in a weight-only model: inputs in float, or rounded to 8 bits by ONNX Runtime's MatMulNBits.

ONNX Runtime fuses a DequantizeLinear and a MatMul into MatMulNBits, which by default rounds blocks of the inputs to 8
bits. No file can choose otherwise, only the session that loads it. So a layer that must have float inputs is stored in
the folded form, which is computed when the model is loaded and runs at the speed of float.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from quant.deadline import LIMIT_REACHED
from quant.errors import ExportError
from quant.evaluation.compare import evaluate
from quant.graph.random_values import random_tensors
from quant.progress import Progress, correction_progress, subject_progress
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.search.choice import Choice
from quant.search.context import CalibratedContext
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import INT8_INPUTS_NOTE, StorageForm

MAX_LOSS_DB = 3.0
"""The loss of output SQNR above which `auto` uses float inputs. At a loss of 3 dB, the rounding of the inputs adds as
much noise as the quantization of the weights."""


def settle_matmul_accuracy(choice: Choice, progress: Progress) -> Choice:
    """Return the choice with the inputs of its MatMul layers as the spec asks, and the report on them.

    `auto` compares both on held-out calibration samples. Without calibration data, and where the search for bits has
    measured the model already, it takes int8.

    Raises:
        ExportError: the quantized model does not run.
    """
    spec, context = choice.context.spec, choice.context
    rounded = [layer for layer in choice.layers if layer.form is StorageForm.MATMUL_NBITS]
    if not rounded:
        return choice
    if spec.export.matmul_accuracy == "int8":
        return _with_int8(choice, _entry(choice, "int8", "the spec asks for it"))
    if not isinstance(context, CalibratedContext):
        return _with_int8(choice, _entry(choice, "int8", "assumed: without calibration data it is not measured"))
    if spec.allocates:
        return _with_int8(choice, _entry(choice, "int8", "the bits were chosen with it"))
    if context.deadline.skips("the measurement of MatMul with float inputs"):
        return _with_int8(choice, _entry(choice, "int8", f"assumed: {LIMIT_REACHED}"))
    measured = {name: _sqnr_db(choice, context, name, progress) for name in ("int8", "float")}
    int8, in_float = measured["int8"], measured["float"]
    if int8 is None or in_float is None:
        return _with_int8(choice, _entry(choice, "int8", "assumed: the outputs have no SQNR"))
    if in_float - int8 <= MAX_LOSS_DB:
        reason = f"rounding the inputs lowers the output SQNR by no more than {MAX_LOSS_DB:g} dB"
        return _with_int8(choice, _entry(choice, "int8", reason, measured))
    reason = f"rounding the inputs lowers the output SQNR by more than {MAX_LOSS_DB:g} dB"
    return replace(_with_float(choice), matmul_accuracy=_entry(choice, "float", reason, measured))


def _sqnr_db(choice: Choice, context: CalibratedContext, accuracy: str, progress: Progress) -> float | None:
    """Return the output SQNR in dB on held-out samples with inputs in float or rounded; None if there is none."""
    data = ir.to_proto(choice.model).SerializeToString()
    session = Session(data, "the quantized model", ExportError, fold_weights=accuracy == "float")
    reported = subject_progress(correction_progress(progress), f"MatMul with {accuracy} inputs")
    random = random_tensors(context.model.graph)
    return evaluate(context.float_outputs(context.held_out), session, context.held_out, reported, random).sqnr_db


def _with_int8(choice: Choice, entry: dict[str, Any]) -> Choice:
    """Return the choice with a note at each layer whose inputs are rounded."""
    layers = [
        replace(layer, notes=(*layer.notes, INT8_INPUTS_NOTE)) if layer.form is StorageForm.MATMUL_NBITS else layer
        for layer in choice.layers
    ]
    return replace(choice, layers=layers, matmul_accuracy=entry)


def _with_float(choice: Choice) -> Choice:
    """Return the choice exported again, with the folded form for the layers whose inputs would be rounded."""
    layers = [_folded(layer) for layer in choice.layers]
    opset = choice.context.spec.export.opset
    model, exported = assemble(choice.context.model, layers, choice.ranges, choice.shifts, opset)
    return replace(choice, model=model, layers=exported)


def _folded(layer: QuantizedLayer) -> QuantizedLayer:
    return replace(layer, form=StorageForm.FOLDED) if layer.form is StorageForm.MATMUL_NBITS else layer


def _entry(choice: Choice, used: str, reason: str, measured: dict[str, float | None] | None = None) -> dict[str, Any]:
    """Return the entry of the report."""
    layers: Sequence[str] = [layer.layer.name for layer in choice.layers if layer.form is StorageForm.MATMUL_NBITS]
    requested = choice.context.spec.export.matmul_accuracy
    return {"requested": requested, "used": used, "reason": reason, "output_sqnr_db": measured, "layers": layers}
