"""The layers that a short form of the report names."""

from collections.abc import Sequence

from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry

MAX_DIAGNOSED = 3
"""The most layers of the diagnosis that are added to the worst ones."""


def notable_layers(report: Report) -> Sequence[LayerEntry]:
    """Return the worst layers, the worst first, and those of the diagnosis that are not among them."""
    layers = {layer.name: layer for layer in report.layers}
    diagnosed = [name for name in report.diagnosis.layers if name not in report.worst_layers]
    return [layers[name] for name in (*report.worst_layers, *diagnosed[:MAX_DIAGNOSED]) if name in layers]
