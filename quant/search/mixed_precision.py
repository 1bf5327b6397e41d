"""A width for every layer: each is quantized at all that it may have, and the bytes go where they gain most."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from quant.calibration.input_moments import Moments
from quant.correction.data_free import expected_shifts
from quant.data.dataset import Dataset
from quant.errors import BudgetTooSmall, FieldError
from quant.evaluation.metrics import sqnr_db
from quant.export.storage import INT2_OPSET, stored_bits, stored_bytes
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import Layer
from quant.methods.grids.uniform import Uniform
from quant.search.allocation import Option, Point, allocate, closed_form, pareto_front
from quant.search.sensitivity import can_be_changed, isolated_errors
from quant.spec import Spec, Weights
from quant.weights.layers import QuantizedLayer, quantize_layers
from quant.weights.quantize import decoded
from quant.weights.storage_form import storage_form

WIDTHS = (8, 6, 4, 2)
"""What a budget chooses from, where the file really stores that many bits."""
PROBED = 4
"""The width whose error at the model's output is measured; the others follow by their errors at the layer's output."""

Samples = Callable[[int, int, str], None]
"""Called with what is done, how much there is in all, and what is being worked on."""
Made = tuple[QuantizedLayer, ...]
"""The layers that share one weight, at one width."""


@dataclass(frozen=True)
class Item:
    """A weight at each width in turn, and what each costs; errors are fractions of the output's energy."""

    made: tuple[Made, ...]
    options: tuple[Option, ...]

    @property
    def size(self) -> int:
        return int(self.made[0][0].layer.weight.size)


@dataclass(frozen=True)
class Choices:
    """All that may be chosen between, in the model's order."""

    items: tuple[Item, ...]

    @property
    def front(self) -> list[Point]:
        return pareto_front([item.options for item in self.items])

    def within(self, max_bytes: float) -> Point:
        return allocate([item.options for item in self.items], max_bytes)

    def no_narrower(self, bits: int) -> "Choices":
        """The same without widths below so many bits, where a weight has others; a point's numbers hold for both."""
        counts = [max(sum(option.bits >= bits for option in item.options), 1) for item in self.items]
        return Choices(
            tuple(Item(item.made[:count], item.options[:count]) for item, count in zip(self.items, counts, strict=True))
        )

    def layers_at(self, point: Point) -> list[QuantizedLayer]:
        return [done for item, number in zip(self.items, point.chosen, strict=True) for done in item.made[number]]

    def mean_bits(self, point: Point) -> float:
        """Bits a weight, each weight of the quantized layers counted once."""
        bits = [item.options[number].bits for item, number in zip(self.items, point.chosen, strict=True)]
        return float(np.average(bits, weights=[item.size for item in self.items]))

    def by_closed_form(self, mean_bits: float) -> Point:
        """What ACIQ's rule chooses from the bounds alone, for at most so many bits a weight."""
        bounds = [float(np.mean(item.made[0][0].quantized.clip)) for item in self.items]
        widths = [[option.bits for option in item.options] for item in self.items]
        bits = closed_form(bounds, [item.size for item in self.items], widths, mean_bits)
        chosen = tuple(own.index(one) for own, one in zip(widths, bits, strict=True))
        options = [item.options[number] for item, number in zip(self.items, chosen, strict=True)]
        return Point(chosen, sum(one.bytes for one in options), sum(one.error for one in options))


def sections(layer: Layer, section: Weights, spec: Spec) -> list[Weights]:
    """The section at each width that the layer may have, the widest first; its own alone where a rule says its bits.

    Widths that the spec's grid is not made for, or that are stored in 8 bits anyway, are uniform.
    """
    if spec.bits_are_given(layer.name, layer.op):
        return [section]
    form = storage_form(layer, section.model_copy(update={"grid": Uniform()}), spec)
    widths = [bits for bits in WIDTHS if stored_bits(bits, spec.export.opset, form) == bits]
    own = {bits: bits <= PROBED and bits in section.grid.widths for bits in widths}
    return [
        section.model_copy(update={"bits": bits, "grid": section.grid if own[bits] else Uniform()}) for bits in widths
    ]


def quantize_at_widths(
    work: Sequence[tuple[Layer, Weights]],
    moments: Mapping[str, Moments],
    spec: Spec,
    progress: Samples,
) -> list[tuple[Made, ...]]:
    """Every weight at each of its widths, the widest first."""
    groups: dict[tuple[str, int], list[tuple[Layer, list[Weights]]]] = {}
    for layer, section in work:
        groups.setdefault((layer.weight_name, layer.axis), []).append((layer, sections(layer, section, spec)))
    counts = {key: min(len(own) for _, own in group) for key, group in groups.items()}
    made: dict[tuple[str, int], QuantizedLayer] = {}
    for turn in range(max(counts.values())):
        now = [(layer, own[turn]) for key, group in groups.items() if turn < counts[key] for layer, own in group]
        fits = {name: done.fitted for (name, _), done in made.items()}
        for done in quantize_layers(now, moments, spec, progress, fits):
            made[done.layer.name, turn] = done
    return [
        tuple(tuple(made[layer.name, turn] for layer, _ in group) for turn in range(counts[key]))
        for key, group in groups.items()
    ]


def choices(
    weights: Sequence[tuple[Made, ...]],
    model: ir.Model,
    moments: Mapping[str, Moments],
    samples: Dataset | None,
    spec: Spec,
    size: Callable[[Sequence[QuantizedLayer]], int],
    progress: Callable[[int, int], None],
) -> Choices:
    """What each width of each weight costs in bytes of the exported file (`size`) and in error at the output.

    The error is that at the layer's output, times how the model passes it on: measured with the samples for one width
    of each weight (MATH.md F.5: the errors of single layers add up), and taken as 1 for what cannot be measured.
    """
    errors = [[_relative_error(made, moments, spec) for made in widths] for widths in weights]
    if samples is not None:
        probed = {number: _probed(widths) for number, widths in enumerate(weights)}
        changes = {
            str(number): weights[number][turn]
            for number, turn in probed.items()
            if all(can_be_changed(done.layer, model) for done in weights[number][turn])
        }
        layers = [done for change in changes.values() for done in change]
        shifts = {} if spec.bias_correction == "none" else expected_shifts(layers, moments)
        found = isolated_errors(model, changes, shifts, samples, progress)
        for name, noise in found.noise.items():
            number = int(name)
            local = errors[number][probed[number]]
            gain = noise / found.signal / local if local > 0 and found.signal > 0 else 0.0
            errors[number] = [error * gain for error in errors[number]]
    overheads = _overheads(weights, spec, size)
    return Choices(
        tuple(
            Item(
                widths,
                tuple(
                    Option(made[0].quantized.bits, _stored(made, spec) + overheads[turn], error)
                    for turn, (made, error) in enumerate(zip(widths, own, strict=True))
                ),
            )
            for widths, own in zip(weights, errors, strict=True)
        )
    )


def fit_budget(found: Choices, limit: int, spec: Spec, size: Callable[[Point], int]) -> Point:
    """The point of least error whose exported file takes at most `limit` bytes.

    Raises:
        BudgetTooSmall: no choice is that small.
    """
    smallest = size(found.within(0))
    if smallest > limit:
        hint = "" if spec.export.opset >= INT2_OPSET else f"; export.opset {INT2_OPSET} has 2-bit weights"
        detail = f"the budget is {limit} bytes; the smallest file that can be reached has {smallest}{hint}"
        raise BudgetTooSmall(detail, [FieldError("/budget", f"accepted: at least {smallest} bytes")])
    allowed = limit
    while True:
        point = found.within(allowed)
        over = size(point) - limit
        if over <= 0:
            return point
        allowed -= over


def promising(found: Choices, limit: int, spec: Spec, size: Callable[[Point], int]) -> list[Point]:
    """The points of least error within the limit whose weights have at least 2 bits, at least 4, and so on, as far as
    such files are small enough: errors of weights in 2 bits are the ones that add up the least.

    Raises:
        BudgetTooSmall: no choice is that small.
    """
    points = [fit_budget(found, limit, spec, size)]
    for bits in sorted(WIDTHS)[1:]:
        wider = found.no_narrower(bits)
        if size(wider.within(0)) > limit:
            break
        points.append(fit_budget(wider, limit, spec, size))
    return list(dict.fromkeys(points))


def describe(found: Choices, point: Point, bytes_before: int, limit: int | None) -> dict[str, Any]:
    """The report's `allocation`: the front, what was chosen of it, and ACIQ's closed form at the same mean bits.

    `expected_sqnr_db` adds up the errors that the weights' widths are charged, activations not among them; sizes are
    those expected of the exported file.
    """

    def entry(one: Point) -> dict[str, float]:
        return {
            "size_ratio": one.bytes / bytes_before,
            "mean_bits": found.mean_bits(one),
            "expected_sqnr_db": sqnr_db(1.0, one.error),
        }

    return {
        "max_bytes": limit,
        "chosen": entry(point),
        "closed_form": entry(found.by_closed_form(found.mean_bits(point))),
        "front": [entry(one) for one in found.front],
    }


def _probed(widths: Sequence[Made]) -> int:
    """The turn whose width is the nearest to the one that is measured."""
    return min(range(len(widths)), key=lambda turn: abs(widths[turn][0].quantized.bits - PROBED))


def _relative_error(made: Made, moments: Mapping[str, Moments], spec: Spec) -> float:
    """dW H dW^T over W H W^T, without the mean where the bias makes up for it; H = I where it is not known."""
    noise = signal = 0.0
    for done in made:
        layer = done.layer
        change = decoded(done.quantized).astype(np.float64) - layer.weight
        known = moments.get(layer.name)
        if known is None:
            noise, signal = (
                noise + float(np.sum(change**2)),
                signal + float(np.sum(layer.weight.astype(np.float64) ** 2)),
            )
            continue
        of_change, of_weight = (weight_matrix(layer, array) for array in (change, layer.weight.astype(np.float64)))
        assert of_change is not None, "a layer with moments has a matrix"
        assert of_weight is not None, "and so has its change"
        noise += float(known.energy(of_change).sum())
        if spec.bias_correction != "none":
            noise -= float((np.einsum("gok,gk->go", of_change, known.mean) ** 2).sum())
        signal += float(known.energy(of_weight).sum())
    return noise / signal if signal > 0 else 0.0


def _stored(made: Made, spec: Spec) -> int:
    """The bytes of the weight's codes and scales, which layers that share it share, too."""
    return stored_bytes(made[0].quantized, made[0].form, spec.export.opset)


def _overheads(
    weights: Sequence[tuple[Made, ...]], spec: Spec, size: Callable[[Sequence[QuantizedLayer]], int]
) -> list[float]:
    """By turn, what the file takes beside codes and scales when all weights have that width, shared out evenly."""
    overheads = []
    for turn in range(max(len(widths) for widths in weights)):
        all_made = [widths[min(turn, len(widths) - 1)] for widths in weights]
        total = size([done for made in all_made for done in made])
        overheads.append((total - sum(_stored(made, spec) for made in all_made)) / len(weights))
    return overheads
