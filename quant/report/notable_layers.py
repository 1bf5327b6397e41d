"""The layers that a short form of the report names."""

from collections.abc import Sequence

from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry

MAX_DIAGNOSED = 3
"""The most layers of the diagnosis that are added to the worst ones."""


def notable_layers(report: Report) -> Sequence[LayerEntry]:
    """Return the worst layers, the worst first, and those of the diagnosis that are not among them.

    The worst layers have the largest shares of the output error, or the least SQNR if shares were not measured.
    """
    layers = {layer.name: layer for layer in report.layers}
    shared = [layer for layer in report.layers if layer.error_share is not None]
    largest = sorted(shared, key=lambda layer: layer.error_share or 0.0, reverse=True)[: len(report.worst_layers)]
    worst = [layer.name for layer in largest] or report.worst_layers
    diagnosed = [name for name in report.diagnosis.layers if name not in worst]
    return [layers[name] for name in (*worst, *diagnosed[:MAX_DIAGNOSED]) if name in layers]
