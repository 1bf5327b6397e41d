"""The diagnosis: one sentence in plain words on what was lost and where, and what to do."""

from collections.abc import Sequence

from quant.outcome.report.diagnosis import Diagnosis
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import ErrorShareBasis, OutputEntry


def diagnose(layers: Sequence[LayerEntry], shares: ErrorShareBasis, outputs: Sequence[OutputEntry] | None) -> Diagnosis:
    """Return the diagnosis of a result.

    Args:
        layers: the quantized layers.
        shares: the measurement of the layers' shares of the output error.
        outputs: the outputs on the evaluation data; None without evaluation data.
    """
    return Diagnosis(
        sentence="No layer was quantized." if not layers else f"{len(layers)} layers were quantized.",
        cause="weights_only" if layers else "nothing_quantized",
        layers=(),
        error_share=None,
        change=None,
        gain_db=None,
        bytes_more=None,
        spec=None,
    )
