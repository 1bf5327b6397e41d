"""The exports of a report: the forms in which other tools read it."""

from collections.abc import Mapping

import onnx_ir as ir

from quant.outcome import artifacts
from quant.outcome.report import Report
from quant.report.layers_csv import layers_csv
from quant.report.markdown import report_markdown
from quant.report.model_explorer import model_explorer_json
from quant.report.sarif import report_sarif


def export_report(report: Report, model: ir.Model | None) -> Mapping[str, bytes]:
    """Return the report's exports by the name of their artifact; `model` is the quantized model if it is in memory."""
    return {
        artifacts.LAYERS_CSV.name: layers_csv(report),
        artifacts.REPORT_MARKDOWN.name: report_markdown(report),
        artifacts.REPORT_SARIF.name: report_sarif(report),
        artifacts.MODEL_EXPLORER.name: model_explorer_json(report, model),
    }
