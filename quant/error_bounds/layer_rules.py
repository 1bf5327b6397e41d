"""Rules that propagate an error interval through a layer with quantized weights.

See docs/methods.md, "Error bounds".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from quant.error_bounds.intervals import Array, Box, ErrorInterval
from quant.error_bounds.operator_norms import Geometry, convolution_norm, matrix_norm
from quant.error_bounds.operator_rules import Unbounded
from quant.graph.inventory import Layer
from quant.graph.matrix_form import Convolution
from quant.graph.operators import CONV, GEMM, MATMUL


@dataclass(frozen=True)
class AffineMaps:
    """The float layer W x + b and its quantized counterpart (W + D) x + b + c.

    Attributes:
        weight: W (G, O, K), or (O, K) for a single group.
        change: D, shaped like W.
        bias: b (G, O), or (O,).
        shift: c, shaped like b.
    """

    weight: Array
    change: Array
    bias: Array
    shift: Array

    def image(self, interval: ErrorInterval, norm: Callable[[Array], float], rows: int) -> ErrorInterval:
        """Return the interval of the outputs.

        For a quantized input q = x + d, the outputs differ by D x + (W + D) d + c.

        Args:
            interval: the input's, with boxes (..., K) that hold for each of the rows that the matrix multiplies.
            norm: returns an upper bound of the 2-norm of a matrix such as W as an operator on a whole sample.
            rows: the number of rows in a sample, each of which gets the bias.
        """
        size, added = norm(self.weight), norm(self.change)
        moved = interval.value.product(self.change).plus(interval.change.product(self.weight + self.change))
        return ErrorInterval(
            interval.value.product(self.weight).plus(Box.of(self.bias)),
            moved.plus(Box.of(self.shift)),
            size * interval.size + float(np.linalg.norm(self.bias)) * sqrt(rows),
            (size + added) * interval.error + added * interval.size + float(np.linalg.norm(self.shift)) * sqrt(rows),
        )


@dataclass(frozen=True)
class LayerPassage:
    """A layer with its input's interval; the shapes are those of one sample, without the batch axis.

    Attributes:
        layer: the float layer.
        maps: the float layer and its quantized counterpart as matrices.
        source: the interval of the layer's input.
        before: the shape of the input.
        after: the shape of the output.
        work: the multiplications that each operator norm may take.
    """

    layer: Layer
    maps: AffineMaps
    source: ErrorInterval
    before: tuple[int, ...]
    after: tuple[int, ...]
    work: float


def _product(passage: LayerPassage) -> ErrorInterval:
    """Return the interval after a product with a matrix on the right."""
    if passage.layer.node.attributes.get_int("transA", 0):
        raise Unbounded("its input is transposed")
    maps = passage.maps
    single = AffineMaps(maps.weight[0], maps.change[0], maps.bias, maps.shift)
    width = single.weight.shape[1]
    full = passage.source.moved(lambda ends: np.broadcast_to(ends, (*ends.shape[:-1], width)))
    return single.image(full, lambda matrix: matrix_norm(matrix, passage.work), prod(passage.after[:-1]))


def _convolution(passage: LayerPassage) -> ErrorInterval:
    """Return the interval after a Conv, from one window that represents all positions.

    The window has one range for each channel, which includes zero if the convolution pads its input.
    """
    kernel, sizes = passage.layer.kernel, passage.before[1:]
    windows = Convolution().windows(passage.layer.node, kernel, sizes)
    source = passage.source.gathered(tuple(range(1, 1 + len(sizes))), keepdims=False)
    if any(window.before or window.after for window in windows):
        source = source.with_zero()
    groups, channels = passage.maps.weight.shape[0], passage.before[0]
    patches = source.moved(
        lambda ends: np.broadcast_to(ends, (channels,)).reshape(groups, -1).repeat(prod(kernel), axis=1)
    )
    geometry = Geometry(
        tuple(window.stride for window in windows),
        tuple(window.dilation for window in windows),
        tuple(size + window.before + window.after for window, size in zip(windows, sizes, strict=True)),
    )

    def norm(matrix: Array) -> float:
        return convolution_norm(matrix.reshape(*matrix.shape[:2], -1, *kernel), geometry, passage.work)

    maps = passage.maps
    grouped = AffineMaps(maps.weight, maps.change, maps.bias.reshape(groups, -1), maps.shift.reshape(groups, -1))
    image = grouped.image(patches, norm, prod(passage.after[1:]))
    return image.moved(lambda ends: ends.reshape(-1, *[1] * len(sizes)))


LAYER_RULES: Mapping[str, Callable[[LayerPassage], ErrorInterval]] = {
    CONV.name: _convolution,
    GEMM.name: _product,
    MATMUL.name: _product,
}
"""By operator, the rule for a layer with a constant matrix; a bound ends at any other layer."""
