"""The models of report.json, which quant writes and the gateway and the client may read.

`Report` is the whole document. `docs/report.schema.json` is its JSON Schema; `python -m docs.report_schema` writes it.
"""

from quant.outcome.report.document import SCHEMA_VERSION, Report

__all__ = ["SCHEMA_VERSION", "Report"]
