"""The choice of a layer's clip bounds; no other module interprets the clip rule of a spec.

A rule without `uses_moments` always gives its own bounds. The rule `auto` has it. For a layer it means:

1. No moments of the layer's input are known: the rule's own bounds, of least weight error; without calibration data,
   for uniform grids of at least WIDE_BITS bits, the bounds of its rival, `minmax`.
2. Moments are known: the bounds of least output error (`quant.weights.output_error`).
3. Moments are only inferred: the bounds of the rival for uniform grids of at least WIDE_BITS bits, or of UNCLIPPED_BITS
   if weights are rounded to nearest and biases are corrected. Inferred moments take inputs to be independent, which
   makes clipping look cheaper than it is.

Where there are calibration data, the search also quantizes all layers with the rivals' bounds (`rival_section`) and
keeps the model with the better outputs. See docs/methods.md, 'Bounds by output error'.
"""

from dataclasses import dataclass

from quant.calibration.input_moments import InferredMoments, Moments
from quant.spec import Weights

UNCLIPPED_BITS = 4
"""The least width at which bounds by inferred moments clip nothing. Clipping cost 2 to 4 dB at the outputs of networks
whose biases are corrected; after error feedback it gains 0.6 dB or more."""
WIDE_BITS = 6
"""The least width at which bounds without data clip nothing: large weights often multiply large inputs. At 8 bits,
bounds of least weight error cost two networks 2.3 and 2.6 dB."""
UNCLIPPED_NOTE = "bounds of MinMax: without data, the cost of clipping before a bias correction is unknown"


@dataclass(frozen=True)
class ClipChoice:
    """The method by which the clip bounds of one layer are found.

    Attributes:
        section: The layer's section of the spec, with the clip rule that applies.
        by_output_error: True to search the bounds of least output error instead of the rule's own.
        note: A sentence for the report if another rule applies than the spec says; None otherwise.
    """

    section: Weights
    by_output_error: bool
    note: str | None = None


def choose_clipping(
    section: Weights, moments: Moments | None, *, bias_corrected: bool, calibrated: bool = False
) -> ClipChoice:
    """Return the method by which the clip bounds of a layer are found.

    Args:
        section: The layer's section of the spec.
        moments: Moments of the layer's input, measured or inferred; None if they are unknown.
        bias_corrected: True if the mean error at the layer's output is removed afterwards by its bias.
        calibrated: True if there are calibration data.
    """
    if not section.clipping.uses_moments:
        return ClipChoice(section, by_output_error=False)
    if moments is None:
        wide = section.grid.uniform and section.bits >= WIDE_BITS
        return ClipChoice(rival_section(section) if wide and not calibrated else section, by_output_error=False)
    if isinstance(moments, InferredMoments) and section.grid.uniform:
        feeds_back = section.rounding.needs_moments and not moments.is_independent
        unclipped = WIDE_BITS if feeds_back or not bias_corrected else UNCLIPPED_BITS
        if section.bits >= unclipped:
            return ClipChoice(rival_section(section), by_output_error=False, note=UNCLIPPED_NOTE)
    return ClipChoice(section, by_output_error=True)


def rival_section(section: Weights) -> Weights:
    """Return the section with the rival of its clip rule; the section itself if the rule has no rival."""
    rival = section.clipping.rival
    return section if rival is None else section.model_copy(update={"clipping": rival})
