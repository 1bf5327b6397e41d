"""Layers that are measured to run slower quantized than in float, and are then left in float (`keep_float: slower`)."""

import glob
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import onnx_ir as ir

from quant.calibration.observers import profiled
from quant.evaluation.latency import is_slower, latency_ratio
from quant.evaluation.layer_times import time_layers
from quant.graph.executed_names import executed_names
from quant.graph.inventory import inventory
from quant.outcome.latency import LayerTime
from quant.runtime import Feeds
from quant.search.choice import Choice
from quant.spec import LayerRule, Spec

ROUNDS = 3
"""The most times that layers are measured: a layer may become slow when its neighbours stay in float."""
FASTER = 0.98
"""The ratio of latencies up to which a model counts as faster than another."""
SLOWER = 1.05
"""The ratio of latencies from which the quantized model counts as slower than the float model."""
REASON = "it was measured to run slower quantized than in float (keep_float: slower)"


def keep_slow_layers_float(choice: Choice, quantize: Callable[[Spec], Choice], feeds: Feeds) -> Choice:
    """Return the choice in which the layers that are slower quantized stay in float.

    1. Measure every layer in the float and in the quantized model, and list those that are slower by a clear margin.
    2. Quantize the model again without them; if it is not faster as a whole, without the slowest half of them.
    3. Take that result if it is faster as a whole, and start again.
    4. If the model is still slower than in float, leave all layers in float: the quantized ones among them cost more in
       conversions than they save.

    The spec of the returned choice has a rule for each such layer, so that it leads to the same model elsewhere.

    Args:
        choice: the choice with all layers quantized that the caller's spec names.
        quantize: quantizes the float model by another spec.
        feeds: the inputs of one run.

    Raises:
        ModelError: the float model does not run.
        ExportError: a quantized model does not run.
    """
    for _ in range(ROUNDS):
        if choice.context.deadline.skips("the measurement of slow layers"):
            return choice
        slow = _slow_layers(choice, feeds)
        faster = _first_faster(choice, [slow, slow[: len(slow) // 2]], quantize, feeds)
        if faster is None:
            break
        choice = faster
    return _float_if_faster(choice, quantize, feeds)


def _slow_layers(choice: Choice, feeds: Feeds) -> list[LayerTime]:
    """Return the quantized layers that are slower than in float, the greatest difference first."""
    model = choice.context.model
    times, _ = time_layers(partial(profiled, model), choice.context.export(choice.model), feeds, executed_names(model))
    quantized = {layer.layer.name for layer in choice.layers}
    slow = [layer for layer in times if layer.name in quantized and is_slower(layer)]
    return sorted(slow, key=lambda layer: layer.float_ms - layer.quantized_ms)


def _first_faster(
    choice: Choice, selections: Sequence[Sequence[LayerTime]], quantize: Callable[[Spec], Choice], feeds: Feeds
) -> Choice | None:
    """Return the first choice without one of the selections that is faster than `choice`; None if there is none."""
    before = choice.context.export(choice.model)
    for selection in selections:
        if not selection:
            continue
        candidate = _without({layer.name for layer in selection}, choice, quantize)
        if latency_ratio(before, candidate.context.export(candidate.model), feeds) < FASTER:
            return candidate
    return None


def _float_if_faster(choice: Choice, quantize: Callable[[Spec], Choice], feeds: Feeds) -> Choice:
    """Return the choice with all layers in float where that is clearly faster, otherwise the choice itself."""
    exported = choice.context.export(choice.model)
    if not choice.layers or latency_ratio(_float_model(choice), exported, feeds) < SLOWER:
        return choice
    candidate = _without({layer.layer.name for layer in choice.layers}, choice, quantize)
    faster = latency_ratio(exported, candidate.context.export(candidate.model), feeds) < FASTER
    return candidate if faster else choice


def _float_model(choice: Choice) -> bytes:
    """Return the float model in the variant that was quantized."""
    serialized: bytes = ir.to_proto(choice.context.model).SerializeToString()
    return serialized


def _without(names: set[str], choice: Choice, quantize: Callable[[Spec], Choice]) -> Choice:
    """Return the model quantized without the nodes of the named layers, which are listed with the reason."""
    layers, _ = inventory(choice.context.model)
    nodes = {layer.node for layer in layers if layer.name in names}
    excluded = [layer.name for layer in layers if layer.node in nodes]
    rules = tuple(LayerRule(match=glob.escape(name), skip=True) for name in excluded)
    spec = choice.context.spec
    result = quantize(spec.model_copy(update={"layers": (*rules, *spec.layers)}))
    earlier = {node.name for node in choice.context.skipped if node.reason == REASON}
    return _explained(result, earlier.union(excluded))


def _explained(choice: Choice, slow: set[str]) -> Choice:
    """Return the choice with the reason at each slow layer that it skips, and a warning that names them."""
    skipped = [replace(node, reason=REASON) if node.name in slow else node for node in choice.context.skipped]
    names = ", ".join(node.name for node in skipped if node.reason == REASON)
    warning = f"these layers stay in float, because they ran slower quantized on this machine: {names}"
    context = replace(choice.context, skipped=skipped)
    return replace(choice, context=context, warnings=(*choice.warnings, warning))
