"""The layers that a short form of the report names."""

from collections.abc import Sequence

from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.outcome.worst_layers import most_harmful

MAX_DIAGNOSED = 3
"""The most layers of the diagnosis that are added to the worst ones."""


def notable_layers(report: Report) -> Sequence[LayerEntry]:
    """Return the worst layers, the worst first, and those of the diagnosis that are not among them.

    The worst layers have the largest shares of the output error, or the least SQNR if shares were not measured.
    """
    layers = {layer.name: layer for layer in report.layers}
    shares = {name: layer.error_share for name, layer in layers.items()}
    worst = most_harmful(shares, report.worst_layers, len(report.worst_layers))
    diagnosed = [name for name in report.diagnosis.layers if name not in worst]
    return [layers[name] for name in (*worst, *diagnosed[:MAX_DIAGNOSED]) if name in layers]
