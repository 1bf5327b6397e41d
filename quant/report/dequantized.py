"""The warning about weights that ONNX Runtime dequantizes at every inference: which layers, and why."""

from collections.abc import Iterable, Sequence

from quant.graph.names import shortened
from quant.runtime import VERSION, DequantizedWeight
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import StorageForm

MAX_NAMED = 5
"""The most layers that a warning names."""


def dequantized_warnings(layers: Sequence[QuantizedLayer], weights: Iterable[DequantizedWeight]) -> list[str]:
    """Return one warning for each reason why weights are dequantized at every inference.

    Args:
        layers: the quantized layers.
        weights: the weights that the executed graph dequantizes.
    """
    readers: dict[str, str] = {}
    for weight in weights:
        layer = dequantized_layer(weight, layers)
        if layer is not None:
            readers.setdefault(layer.layer.name, weight.reader)
    by_reason: dict[str, list[str]] = {}
    for layer in layers:
        if layer.layer.name in readers:
            by_reason.setdefault(_reason(layer, readers[layer.layer.name]), []).append(layer.layer.name)
    return [_warning(names, reason) for reason, names in by_reason.items()]


def dequantized_layer(weight: DequantizedWeight, layers: Iterable[QuantizedLayer]) -> QuantizedLayer | None:
    """Return the layer whose node reads the weight or whose weight gave the name; None for a bias of another name.

    ONNX Runtime appends to the names of nodes that it copies or fuses; of several matches the longest name counts.
    """
    matches = {}
    for layer in layers:
        for name in (str(layer.layer.node.name), shortened(layer.layer.weight_name)):
            if name and any(
                executed == name or executed.startswith((f"{name}/", f"{name}_")) for executed in weight.names
            ):
                matches[len(name)] = layer
    return matches[max(matches)] if matches else None


def _reason(layer: QuantizedLayer, reader: str) -> str:
    """Return why no kernel reads the codes of a layer."""
    if layer.form is StorageForm.DIRECT:
        return (
            f"ONNX Runtime {VERSION} has no kernel for codes of {layer.quantized.bits} bits in the standard form; "
            "accepted: export.weight_storage fast with profile ort-cpu"
        )
    return f"ONNX Runtime {VERSION} runs the layer as {reader} in float, between operators that it does not quantize"


def _warning(names: Sequence[str], reason: str) -> str:
    shown = ", ".join(map(repr, names[:MAX_NAMED])) + (
        f" and {len(names) - MAX_NAMED} more" if names[MAX_NAMED:] else ""
    )
    weights = "1 weight is" if len(names) == 1 else f"{len(names)} weights are"
    return f"{weights} dequantized at every inference ({shown}): {reason}"
