"""The published JSON Schema of report.json, generated from the models of `quant.outcome.report`.

`python -m docs.report_schema` writes it; a test fails when the file and the models differ.
"""

import json
from pathlib import Path

from quant.outcome.report.schema import report_schema

PATH = Path(__file__).parent / "report.schema.json"


def text() -> str:
    """Return the schema as JSON text."""
    return json.dumps(report_schema(), indent=1) + "\n"


def main() -> None:
    """Write the schema."""
    PATH.write_text(text())


if __name__ == "__main__":
    main()
