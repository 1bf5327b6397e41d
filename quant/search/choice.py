"""The choice of a job: the candidate that becomes the quantized model, and what it was compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from quant.correction.twin import Correction
from quant.search.context import Ranges, SearchContext
from quant.weights.layers import QuantizedLayer


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, as export, report and error bounds read it.

    Attributes:
        context: the form of the float model that was quantized, and its calibration data.
        name: the candidate's name in `compared`.
        model: the quantized model.
        layers: its quantized layers.
        ranges: its activation ranges by the tensor's name.
        corrections: the correction of each layer's bias by the layer's name; empty where none was measured.
        compared: the output SQNR in dB of every candidate on held-out samples, by name; empty where there was one
            candidate only, None without calibration data.
        allocation: the report's `allocation`, where bits were allocated.
        search: the report's `search`, where gates decided.
        max_bytes: the most that the exported file may take, where there is a budget.
        warnings: what the owner of the model has to know about the choice.
    """

    context: SearchContext
    name: str
    model: ir.Model
    layers: Sequence[QuantizedLayer]
    ranges: Ranges
    corrections: Mapping[str, Correction]
    compared: Mapping[str, float] | None
    allocation: Mapping[str, Any] | None = None
    search: Mapping[str, Any] | None = None
    max_bytes: int | None = None
    warnings: tuple[str, ...] = ()


def best(choices: Sequence[Choice]) -> Choice:
    """Return the choice with the greatest output SQNR on held-out samples, its table extended by all the others'.

    Requires that all candidates were compared, if there are several choices.
    """
    if len(choices) == 1:
        return choices[0]
    compared = {name: sqnr_db for choice in choices for name, sqnr_db in (choice.compared or {}).items()}
    return replace(max(choices, key=lambda choice: compared[choice.name]), compared=compared)
