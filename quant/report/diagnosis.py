"""The diagnosis: one sentence in plain words on what was lost and where, and what to do.

The first of these statements that is true is made:

1. No layer was quantized.
2. All outputs are equal.
3. Only the quantized model's output is NaN or infinite.
4. Activations are clipped on the evaluation data, and the error is larger there than on calibration data.
5. Most of the error comes from the activations, from a few layers, or evenly from all layers.
6. Nothing is known about the output: the layer whose weights have the greatest error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quant.calibration.saturation import MAX_CLIPPED
from quant.evaluation.output_errors import ONLY_QUANTIZED
from quant.evaluation.sqnr import EXACT_DB
from quant.outcome.report.diagnosis import Cause, Diagnosis
from quant.outcome.report.layer import Alternative, LayerEntry
from quant.outcome.report.sections import ErrorShareBasis, OutputEntry
from quant.outcome.summary import Summary
from quant.search.error_shares import total_error
from quant.spec import Spec
from quant.spec.layer_rule_lines import layer_rule_lines

MOST = 0.8
"""The share of the error that counts as most of it."""
FEW = 0.25
"""The largest part of the layers that counts as a few."""
MAX_LISTED = 5
"""The most layers that a diagnosis lists."""
WORTH_DB = 0.1
"""The least gain of the output SQNR that is worth advice."""
WORSE_DB = 3.0
"""The loss of output SQNR from calibration to evaluation data above which clipped activations count as its cause."""
MAX_NAME = 80
"""The most characters of a name."""


@dataclass(frozen=True)
class Findings:
    """The parts of the report that a diagnosis follows from.

    Attributes:
        layers: the quantized layers.
        skipped: the number of layers and nodes that stay in float.
        shares: the measurement of the layers' shares of the output error.
        outputs: the outputs on the evaluation data; None without evaluation data.
        summary: the summary.
        spec: the resolved spec.
    """

    layers: Sequence[LayerEntry]
    skipped: int
    shares: ErrorShareBasis
    outputs: Sequence[OutputEntry] | None
    summary: Summary
    spec: Spec

    @property
    def of_weights(self) -> float:
        """The share of the output error that the measured weights cause, as far as errors add up."""
        return self._part(self.shares.weights)

    @property
    def of_activations(self) -> float:
        """The share of the output error that the activations cause, as far as errors add up."""
        return self._part(self.shares.activations)

    @property
    def error(self) -> str:
        """The words for the error that shares are taken of, which says if the errors of the parts do not add up."""
        adds_up = self.shares.all is None or self.shares.all >= 0.5 * self._total
        return "the output error" if adds_up else "the error that each part causes alone"

    @property
    def _total(self) -> float:
        return total_error(self.shares.weights, self.shares.activations, self.shares.all)

    def _part(self, error: float | None) -> float:
        return (error or 0.0) / self._total if self._total > 0 else 0.0

    @property
    def by_share(self) -> list[LayerEntry]:
        """The layers with a share of the output error, the largest share first."""
        return sorted((layer for layer in self.layers if layer.error_share), key=_share, reverse=True)


def diagnose(findings: Findings) -> Diagnosis:
    """Return the diagnosis: the first statement that the findings support."""
    statements = (_nothing_quantized, _exact, _non_finite, _clipped_inputs, _activations, _by_layers)
    return next(filter(None, (statement(findings) for statement in statements)), None) or _weights_only(findings)


def _nothing_quantized(findings: Findings) -> Diagnosis | None:
    if findings.layers:
        return None
    count = findings.skipped
    return _diagnosis("nothing_quantized", f"No layer was quantized: {_counted(count, 'layer')} remain in float.")


def _exact(findings: Findings) -> Diagnosis | None:
    outputs, layers = findings.outputs, findings.layers
    if outputs and all(output.identical for output in outputs):
        samples = _counted(outputs[0].samples, "evaluation sample")
        return _diagnosis("exact", f"Nothing was lost: all outputs equal those of the float model on {samples}.")
    equal = all(layer.weight.sqnr_db >= EXACT_DB for layer in layers)
    if equal and outputs is None and findings.spec.activations is None:
        return _diagnosis("exact", "Nothing was lost: the quantized weights equal the float weights.")
    return None


def _non_finite(findings: Findings) -> Diagnosis | None:
    broken = [output for output in findings.outputs or () if (output.reason or "").startswith(ONLY_QUANTIZED)]
    if not broken:
        return None
    output = broken[0]
    sentence = f"Output {_quoted(output.name)}: {output.reason}"
    measured = [layer for layer in findings.layers if layer.output is not None]
    if not measured:
        return _diagnosis("non_finite", f"{sentence}; leave layers in float, the last ones first, to find the cause.")
    worst = min(measured, key=lambda layer: 0.0 if layer.output is None else layer.output.sqnr_db)
    advice = f"leave {_quoted(worst.name)} in float, whose output has the least SQNR of all layers"
    lines = layer_rule_lines(findings.spec, worst.name, worst.op, None)
    return _diagnosis("non_finite", f"{sentence}; {advice}.", [worst], change="float", spec=lines)


def _clipped_inputs(findings: Findings) -> Diagnosis | None:
    clipped = [layer for layer in findings.layers if _clipped(layer) > MAX_CLIPPED]
    if not clipped or not _is_worse_on_evaluation(findings):
        return None
    worst = sorted(clipped, key=_clipped, reverse=True)
    sentence = (
        f"{_percent(_clipped(worst[0]))} of the values that {_quoted(worst[0].name)} reads on the evaluation data lie "
        "outside of its calibrated range and are clipped; calibrate with data that is like the evaluation data."
    )
    return _diagnosis("clipped_inputs", sentence, worst)


def _is_worse_on_evaluation(findings: Findings) -> bool:
    """Return True if the error is clearly larger than on calibration data, or was not measured on both."""
    reached, error = findings.summary.output_sqnr_db, findings.shares.all
    return reached is None or not error or reached < -10 * math.log10(error) - WORSE_DB


def _activations(findings: Findings) -> Diagnosis | None:
    share, section = findings.of_activations, findings.spec.activations
    if section is None or share <= 0.5:
        return None
    source = f"activations of {section.bits} bits, not from weights"
    sentence = f"{_percent(share)} of {findings.error} comes from {source}"
    if section.bits == 16:
        return _diagnosis("activations", f"{sentence}.", error_share=share)
    return _diagnosis(
        "activations",
        f"{sentence}; activations of 16 bits may reduce it, and run slower.",
        error_share=share,
        change="16-bit activations",
        spec="activations:\n  bits: 16\n",
    )


def _by_layers(findings: Findings) -> Diagnosis | None:
    layers = findings.by_share
    if not layers:
        return None
    few = [layers[0]]
    while sum(map(_share, few)) * findings.of_weights < MOST and len(few) < len(layers):
        few.append(layers[len(few)])
    total = len(findings.layers)
    advice = _advice(layers[: max(len(few), MAX_LISTED)])
    share = sum(map(_share, few)) * findings.of_weights
    if len(few) > max(FEW * total, 1) or share < MOST:
        sentence = (
            f"{_spread(findings)}: {_quoted(layers[0].name)}, the worst, causes {_percent(_share(layers[0]))} of it"
        )
        share = _share(layers[0]) * findings.of_weights
        return _advised("spread", sentence, layers[:1], share, advice, findings.summary)
    source = f"{len(few)} of {total} layers" if len(few) > 1 else _quoted(few[0].name)
    sentence = f"{_percent(share)} of {findings.error} comes from the weights of {source}"
    return _advised("few_layers", sentence, few, share, advice, findings.summary)


def _spread(findings: Findings) -> str:
    """Return the words for an error that many layers cause, or for the part of it that the weights cause."""
    part = _percent(findings.of_weights)
    if part == _percent(1.0):
        return f"{_capital(findings.error)} is spread over {_counted(len(findings.layers), 'layer')}"
    return f"{part} of {findings.error} comes from the weights of {_counted(len(findings.by_share), 'layer')}"


def _weights_only(findings: Findings) -> Diagnosis:
    worst = min(findings.layers, key=lambda layer: layer.weight.sqnr_db)
    reached, ratio = findings.summary.output_sqnr_db, f"{worst.weight.sqnr_db:.1f} dB"
    sentence = f"The weights of {_quoted(worst.name)} have the least SQNR, {ratio}"
    if reached is not None:
        sentence = (
            f"The output SQNR is {reached:.1f} dB; the least SQNR of weights is {ratio}, in {_quoted(worst.name)}"
        )
    wider = [change for change in worst.alternatives if (change.weight_sqnr_gain_db or 0) > 0 and change.bytes_more > 0]
    if not wider:
        return _diagnosis("weights_only", f"{sentence}.", [worst])
    best = max(wider, key=lambda change: change.weight_sqnr_gain_db or 0)
    price = f"would give {best.weight_sqnr_db:.1f} dB there for {_size(best, findings.summary)}"
    return _diagnosis(
        "weights_only",
        f"{sentence}; {_action(worst, best)} {price}.",
        [worst],
        change=best.change,
        bytes_more=best.bytes_more,
        spec=best.spec,
    )


Advice = tuple[LayerEntry, Alternative]
"""An alternative of a layer."""


def _advice(layers: Sequence[LayerEntry]) -> Advice | None:
    """Return the change of one layer that costs the fewest bytes among those with at least half of the best gain."""
    changes = [(layer, change) for layer in layers for change in layer.alternatives if change.bytes_more > 0]
    best = max((_gain(change) for _, change in changes), default=0.0)
    if best < WORTH_DB:
        return None
    return min((pair for pair in changes if _gain(pair[1]) >= best / 2), key=lambda pair: pair[1].bytes_more)


def _advised(
    cause: Cause, sentence: str, layers: Sequence[LayerEntry], share: float, advice: Advice | None, summary: Summary
) -> Diagnosis:
    """Return a diagnosis with the advice, if there is any."""
    if advice is None:
        return _diagnosis(cause, f"{sentence}.", layers, error_share=share)
    layer, change = advice
    gain = f"would gain about {_gain(change):.1f} dB for {_size(change, summary)}"
    return _diagnosis(
        cause,
        f"{sentence}; {_action(layer, change)} {gain}.",
        layers,
        error_share=share,
        change=change.change,
        gain_db=_gain(change),
        bytes_more=change.bytes_more,
        spec=change.spec,
    )


def _diagnosis(
    cause: Cause,
    sentence: str,
    layers: Sequence[LayerEntry] = (),
    *,
    error_share: float | None = None,
    change: str | None = None,
    gain_db: float | None = None,
    bytes_more: int | None = None,
    spec: str | None = None,
) -> Diagnosis:
    return Diagnosis(
        sentence=sentence,
        cause=cause,
        layers=tuple(layer.name for layer in layers[:MAX_LISTED]),
        error_share=error_share,
        change=change,
        gain_db=gain_db,
        bytes_more=bytes_more,
        spec=spec,
    )


def _share(layer: LayerEntry) -> float:
    return layer.error_share or 0.0


def _clipped(layer: LayerEntry) -> float:
    return 0.0 if layer.activation is None else layer.activation.clipped_fraction


def _gain(change: Alternative) -> float:
    return change.output_gain_db or 0.0


def _action(layer: LayerEntry, change: Alternative) -> str:
    """Return a change of a layer as the subject of a sentence."""
    name = _quoted(layer.name)
    if change.change == "float":
        return f"leaving {name} in float"
    return f"keeping {name} at {change.change}" if "bits" in change.change else f"giving {name} {change.change}"


def _size(change: Alternative, summary: Summary) -> str:
    """Return the bytes of a change as a share of the quantized file."""
    return f"{_percent(change.bytes_more / summary.bytes_after)} of the size"


def _percent(share: float) -> str:
    """Return a share in percent, with one digit below 10."""
    percent = 100 * share
    if percent < 0.1:
        return "less than 0.1 %"
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.1f} %"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _quoted(name: str) -> str:
    """Return a name between backticks, on one line and not too long; a name without characters has its quotes."""
    plain = "".join(c if c.isprintable() and c != "`" else "\N{REPLACEMENT CHARACTER}" for c in name)
    return f"`{plain if len(plain) <= MAX_NAME else plain[: MAX_NAME - 1] + '…'}`"
