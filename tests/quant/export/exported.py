"""Exported models of a few layers, without a job."""

from quant.calibration.activation_ranges import ActivationRange
from quant.export.qdq import ExportedWeight, export_qdq
from quant.export.serialize import stamp
from quant.graph.placement import place
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers
from tests.quant.onnx_text import model_of


def exported(text, raw=None, **arrays):
    """Return the bytes of a model of this text after export by a spec, with activations from -3 to 3."""
    spec, model = resolve(raw or {}), model_of(text, **arrays)
    work, _ = choose_layers(model, spec)
    layers = quantize_layers(work, {}, spec, lambda *_: None)
    ranges = {}
    if spec.activations is not None:
        computed = [layer for layer, _ in work if layer.float_only is None]
        names = place(model.graph, computed, spec.exclude_operators).values
        ranges = {name: ActivationRange.of((-3.0, 3.0), spec.activations) for name in names}
    weights = [ExportedWeight(layer.layer, layer.quantized, layer.form, layer.float_bias) for layer in layers]
    export_qdq(model, weights, ranges, spec.export.opset)
    return stamp(model, spec, "0" * 64)
