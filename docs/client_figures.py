"""The tables of gates and metrics that the client has without the quantizer: client/quantd/figures.json.

`python -m docs.client_figures` writes them from the registries of quant; a test fails when they differ.
"""

import json
from pathlib import Path
from typing import Any

from quant.outcome.gates import GATES
from quant.outcome.metrics import METRICS
from quant.outcome.task_figures import TASK_FIGURES

FILE = Path(__file__).parent.parent / "client" / "quantd" / "figures.json"


def figures() -> dict[str, list[dict[str, Any]]]:
    """Return the gates and the metrics with their units and directions."""
    shares = {figure.name for figure in TASK_FIGURES if figure.is_share}
    return {
        "gates": [{"name": gate.name, "unit": gate.unit, "better": gate.better} for gate in GATES],
        "metrics": [
            {
                "name": metric.name, "title": metric.title, "unit": metric.unit,
                "difference_unit": metric.unit_of_difference, "better": metric.better,
                "needs_evaluation": metric.needs_evaluation, "is_share": metric.name in shares,
            }
            for metric in METRICS
        ],
    }  # fmt: skip


def document() -> str:
    """Return the file."""
    return json.dumps(figures(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
