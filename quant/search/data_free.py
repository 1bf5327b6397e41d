"""The candidate of a job without data: rounded by what is inferred of its inputs, or plainly if that is no better.

See docs/methods.md, 'Synthetic inputs'.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.observers import session_with_outputs
from quant.calibration.synthetic_calibration import comparison_inputs
from quant.correction.data_free import expected_shifts
from quant.data.dataset import Dataset
from quant.errors import ExportError, ModelError
from quant.evaluation.metrics import output_energies
from quant.evaluation.sqnr import sqnr_db
from quant.graph.random_values import random_tensors
from quant.graph.weightless import weightless
from quant.methods.rounding.auto import AutoRounding
from quant.runtime import Session
from quant.search.candidates import Candidate, assemble_candidate
from quant.search.context import NO_RANGES, DataFreeContext, Work
from quant.spec import Weights
from quant.weights.clip_choice import rival_section
from quant.weights.layers import QuantizedLayer, quantize_layers, round_to_nearest

PLAIN = "plain"
"""The name of the candidate whose weights are rounded to nearest, without clipping and bias correction."""
PLAIN_REASON = "rounding by them is not reliably better than rounding to nearest"
PLAIN_WARNING = (
    "weights are rounded to nearest, without clipping and bias correction: on synthetic inputs of the model, nothing "
    "else was reliably better; accepted for more accuracy: calibration data, or more bits"
)
MIN_MEAN_DB = 0.0
"""The least output SQNR, averaged over the kinds of synthetic inputs, at which a comparison tells two models apart."""


def data_free_candidate(context: DataFreeContext, work: Work, layers: list[QuantizedLayer]) -> Candidate:
    """Return the candidate of these layers with corrected biases, or the plain one if that may be as good.

    The plain one is chosen unless the other one's outputs are nearer to the float model's in the mean over the kinds of
    inputs, and near enough for this to mean anything (`MIN_MEAN_DB`). What the spec asks for by name stays in the plain
    one. Where the model takes no synthetic inputs, nothing is compared.

    Args:
        context: the variant of the float model.
        work: its layers with their sections of the spec.
        layers: the layers quantized by these sections.
    """
    mode = context.spec.bias_correction
    candidate = _candidate(context, "data-free", layers, corrects=mode != "none")
    plain_work = [(layer, _plain(section)) for layer, section in work]
    same = mode != "auto" and all(section == plain for (_, section), (_, plain) in zip(work, plain_work, strict=True))
    if same or not context.compares:
        return candidate
    kinds = comparison_inputs(context.model, [layer for layer, _ in work], context.spec.seed)
    if not kinds or context.deadline.skips("the comparison on synthetic inputs"):
        return candidate
    fits = {quantized.layer.name: quantized.fitted for quantized in layers}
    rounded = quantize_layers(plain_work, context.moments, context.spec, lambda *_: None, fits)
    plain = _candidate(context, PLAIN, rounded, corrects=mode == "data_free")
    try:
        return candidate if _is_better(_sqnrs_db(context, [candidate, plain], kinds)) else plain
    except (ExportError, ModelError):
        return candidate


def _plain(section: Weights) -> Weights:
    """Return the section without what the spec leaves to quantd: clip bounds and error feedback."""
    section = rival_section(section)
    return round_to_nearest(section) if isinstance(section.rounding, AutoRounding) else section


def _candidate(context: DataFreeContext, name: str, layers: list[QuantizedLayer], *, corrects: bool) -> Candidate:
    shifts = expected_shifts(layers, context.moments) if corrects else {}
    return assemble_candidate(context, name, NO_RANGES, layers, shifts)


def _sqnrs_db(
    context: DataFreeContext, candidates: Sequence[Candidate], kinds: Sequence[Dataset]
) -> NDArray[np.float64]:
    """Return the output SQNR in dB of each candidate on each kind of inputs (candidates, kinds).

    Raises:
        ModelError, ExportError: the float model or a candidate does not run on the inputs.
    """
    outputs, random = context.model.graph.outputs, random_tensors(context.model.graph)
    compared = [number for number, value in enumerate(outputs) if value.name not in random]
    reference = session_with_outputs(weightless(context.model), ())
    expected = [[reference.run(feeds) for feeds in kind.batches()] for kind in kinds]
    del reference
    ratios = np.empty((len(candidates), len(kinds)))
    for row, candidate in zip(ratios, candidates, strict=True):
        session = Session(ir.to_proto(candidate.model).SerializeToString(), "the quantized model", ExportError)
        for number, kind in enumerate(kinds):
            energies = np.zeros(2)
            for known, feeds in zip(expected[number], kind.batches(), strict=True):
                actual = session.run(feeds)
                energies += output_energies([known[at] for at in compared], [actual[at] for at in compared])
            row[number] = sqnr_db(*energies)
    return ratios


def _is_better(ratios: NDArray[np.float64]) -> bool:
    """Return True if the first row of ratios in dB has the higher mean over the kinds, and one that tells something."""
    first, second = ratios.mean(axis=1)
    return bool(first > max(second, MIN_MEAN_DB))
