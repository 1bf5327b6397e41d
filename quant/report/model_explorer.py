"""Node data for Model Explorer, which shows a model as a graph: the figures of each layer on its node.

The format has one value for each node in a file, so the value is a text that holds all figures, and its color tells
the SQNR. The keys are the ids that Model Explorer's ONNX adapter gives to the nodes of model.onnx: their names, and in
a branch of an If, the names of that node and of the branch before them.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import onnx_ir as ir

from quant.graph.operators import OPERATORS
from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.report.page.texts import decibels, percent, with_error

COLORS = ((10.0, "#b2182b"), (20.0, "#ef8a62"), (30.0, "#fddbc7"), (40.0, "#d1e5f0"))
"""The color below each SQNR in dB. Red and blue differ for readers who cannot tell red from green."""
GOOD = "#67a9cf"
"""The color of an SQNR above all of them."""


def model_explorer_json(report: Report, model: ir.Model | None) -> bytes:
    """Return the node data of one graph: the SQNR, bits, share of the error and mean shift of every layer.

    The SQNR is that of the layer's output where outputs were compared, otherwise that of its weights.

    Args:
        report: the report.
        model: the quantized model; without it, the nodes in branches of an If are not found.
    """
    ids = {} if model is None else dict(node_ids(model.graph))
    nodes: dict[str, list[LayerEntry]] = {}
    for layer in report.layers:
        nodes.setdefault(node_name(layer), []).append(layer)
    results = {ids.get(name, name): _result(layers) for name, layers in nodes.items()}
    data = {
        "name": f"quantd: {_title(report)}",
        "results": results,
        "hideInAggregatedStatsTable": True,  # texts have neither a sum nor a mean
        "hideInChildrenStatsTable": True,
    }
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


def node_ids(graph: ir.Graph, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and the id of every node; the ONNX adapter draws the branches of an If within its graph."""
    for node in graph:
        yield str(node.name), f"{prefix}{node.name}"
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                is_branch = node.op_identifier()[:2] == ("", "If")
                inner = f"{prefix}{node.name}/{attribute.name}/" if is_branch else ""
                yield from node_ids(attribute.as_graph(), inner)


def node_name(layer: LayerEntry) -> str:
    """Return the name of the layer's node, without the suffix that tells the weights of a recurrent node apart."""
    suffix = next((suffix for suffix in _suffixes(layer.op) if layer.name.endswith(suffix)), "")
    return layer.name.removesuffix(suffix)


def _suffixes(op: str) -> Sequence[str]:
    return [operand.suffix for operand in OPERATORS[op].weights]


def _title(report: Report) -> str:
    outputs = [layer.output for layer in report.layers if layer.output]
    figures = ["output SQNR" if outputs else "weight SQNR", "bits"]
    if any(layer.error_share is not None for layer in report.layers):
        figures.append("share of the weights' error")
    if any(output.mean_shift_after is not None for output in outputs):
        figures.append("mean shift")
    return ", ".join(figures)


def _result(layers: Sequence[LayerEntry]) -> dict[str, Any]:
    """Return the value of one node; a recurrent node has a layer for each weight, and the worst gives the color."""
    texts = [_text(layer) for layer in layers]
    if len(layers) > 1:
        texts = [f"{layer.name.removeprefix(node_name(layer))} {_text(layer)}" for layer in layers]
    return {"value": "; ".join(texts), "bgColor": _color(min(map(_sqnr_db, layers)))}


def _text(layer: LayerEntry) -> str:
    parts = [decibels(_sqnr_db(layer)), f"{layer.bits} bits"]
    if layer.error_share is not None:
        parts.append(f"{percent(layer.error_share)} of the error")
    if layer.output is not None and layer.output.mean_shift_after is not None:
        shift = with_error(layer.output.mean_shift_after, layer.output.mean_shift_after_standard_error)
        parts.append(f"shift {shift}")
    return ", ".join(parts)


def _sqnr_db(layer: LayerEntry) -> float:
    return layer.weight.sqnr_db if layer.output is None else layer.output.sqnr_db


def _color(sqnr_db: float) -> str:
    return next((color for limit, color in COLORS if sqnr_db < limit), GOOD)
