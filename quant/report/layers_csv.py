"""The layers as CSV (RFC 4180): one line for each quantized layer, in the order of the network."""

import csv
import io
from collections.abc import Callable
from typing import Any

from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry, LayerOutput

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The first characters by which spreadsheets take a text for a formula; the last four are full-width forms."""


def _of_output(name: str) -> Callable[[LayerEntry], Any]:
    """Return a function that returns one figure of a layer's output; None where the output was not compared."""
    assert name in LayerOutput.model_fields, "the figure exists"
    return lambda layer: None if layer.output is None else getattr(layer.output, name)


COLUMNS: dict[str, Callable[[LayerEntry], Any]] = {
    "name": lambda layer: as_text(layer.name),
    "op": lambda layer: as_text(layer.op),
    "weight_shape": lambda layer: "x".join(map(str, layer.weight_shape)),
    "parameters": lambda layer: layer.parameters,
    "bits": lambda layer: layer.bits,
    "granularity": lambda layer: layer.granularity,
    "block_size": lambda layer: layer.block_size,
    "grid": lambda layer: layer.grid,
    "clipping": lambda layer: layer.clipping,
    "rounding": lambda layer: layer.rounding,
    "distribution": lambda layer: distribution_text(layer),
    "clip_ratio": lambda layer: layer.clip_ratio,
    "clipped_fraction": lambda layer: layer.clipped_fraction,
    "weight_sqnr_db": lambda layer: layer.weight.sqnr_db,
    "output_sqnr_db": _of_output("sqnr_db"),
    "output_cosine": _of_output("cosine"),
    "error_share": lambda layer: layer.error_share,
    "error_share_standard_error": lambda layer: layer.error_share_standard_error,
    "mean_shift_before": _of_output("mean_shift_before"),
    "mean_shift_before_standard_error": _of_output("mean_shift_before_standard_error"),
    "mean_shift_after": _of_output("mean_shift_after"),
    "mean_shift_after_standard_error": _of_output("mean_shift_after_standard_error"),
    "bytes_before": lambda layer: layer.bytes_before,
    "bytes_after": lambda layer: layer.bytes_after,
}
"""Every column with the function that returns its value; None is an empty field. Units are those of report.json."""


def layers_csv(report: Report) -> bytes:
    """Return the layers as CSV in UTF-8, with a header line, and CRLF at the end of every line.

    All texts are quoted, so that a name stays in its cell in a spreadsheet that takes the semicolon for a separator.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows([column(layer) for column in COLUMNS.values()] for layer in report.layers)
    return text.getvalue().encode()


def as_text(value: str) -> str:
    """Return a text of the model so that no spreadsheet runs it as a formula: an apostrophe precedes such a text."""
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value


def distribution_text(layer: LayerEntry) -> str:
    """Return the families of the layer's rows, the most frequent first, as in "gaussian 19, laplace 5"."""
    families = sorted(layer.distribution.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{family} {rows}" for family, rows in families)
