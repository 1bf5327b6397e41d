"""The choice of a job: the candidate that becomes the quantized model, and what it was compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import onnx_ir as ir

from quant.evaluation.metrics import OutputComparison
from quant.graph.biases import Shifts
from quant.search.candidates import Candidate, MeasuredCandidate
from quant.search.context import RangeOption, Ranges, SearchContext
from quant.search.ranking import Scores, best_position
from quant.weights.layers import QuantizedLayer


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, as export, report and error bounds read it.

    Attributes:
        context: the variant of the float model that was quantized, and its calibration data.
        name: the candidate's name in `compared`.
        model: the quantized model.
        layers: its quantized layers.
        option: its activation ranges.
        shifts: what was added to each layer's bias to correct it, by the layer's name; empty without bias correction.
        compared: the output SQNR in dB of every candidate on held-out samples, by name; empty where there was one
            candidate only, None without calibration data.
        allocation: the report's `allocation`, where bits were allocated.
        search: the report's `search`, where gates decided.
        max_bytes: the most that the exported file may take, where there is a budget.
        warnings: what the owner of the model has to know about the choice.
        matmul_accuracy: the report's `matmul_accuracy`; None if no MatMul could have rounded inputs.
        float16: the report's `float16`; None if no float is stored as float16.
        scores: the scores of the outputs by which the candidate was chosen; empty if there was one candidate only.
        outputs: its outputs compared on held-out samples; None if there was one candidate only.
    """

    context: SearchContext
    name: str
    model: ir.Model
    layers: Sequence[QuantizedLayer]
    option: RangeOption
    shifts: Shifts
    compared: Mapping[str, float | None] | None
    allocation: Mapping[str, Any] | None = None
    search: Mapping[str, Any] | None = None
    max_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    scores: Scores = field(default_factory=dict)
    outputs: OutputComparison | None = None
    matmul_accuracy: Mapping[str, Any] | None = None
    float16: Mapping[str, Any] | None = None

    @property
    def ranges(self) -> Ranges:
        """The activation ranges by the tensor's name."""
        return self.option.ranges

    @property
    def candidate(self) -> Candidate:
        """The chosen candidate; a `MeasuredCandidate` if its outputs were compared."""
        layers = [*self.layers]
        if self.outputs is None:
            return Candidate(self.name, self.option, layers, self.model, self.shifts)
        deciding = self.context.spec.evaluation.outputs
        return MeasuredCandidate(self.name, self.option, layers, self.model, self.shifts, self.outputs, deciding)

    def with_candidate(self, candidate: MeasuredCandidate, name: str, compared: Mapping[str, float | None]) -> "Choice":
        """Return the choice with another candidate of the same context, called `name` in the table `compared`."""
        return replace(
            self,
            name=name,
            model=candidate.model,
            layers=candidate.layers,
            option=candidate.option,
            shifts=candidate.shifts,
            compared=compared,
            scores=candidate.scores,
            outputs=candidate.outputs,
        )


def without_moments(choice: Choice) -> Choice:
    """Return the choice without the moments of the layers' inputs, which take hundreds of megabytes."""
    return replace(choice, context=replace(choice.context, moments={}))


def without_layers(choice: Choice) -> Choice:
    """Return the choice without its layers, whose weights and histograms take more memory than the float model."""
    return replace(choice, layers=())


def best(choices: Sequence[Choice]) -> Choice:
    """Return the choice with the best outputs on held-out samples, its table extended by all the others'.

    Requires that all candidates were compared, if there are several choices.
    """
    if len(choices) == 1:
        return choices[0]
    compared = {name: sqnr_db for choice in choices for name, sqnr_db in (choice.compared or {}).items()}
    return replace(choices[best_position([choice.scores for choice in choices])], compared=compared)
