"""The means of the float model's layer outputs, measured in the pass over the calibration set that observes ranges.

A layer's output is compared as the next layers read it: after the activation that alone reads it, or a sum with it. The
share of positions at which that activation is active is measured, too. Where a sum may be computed later in the
quantized model than the layer is read, the layer's own output is compared, so that both are measured.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quant.calibration.observers import Tensors
from quant.correction.layer_nodes import STEEPEST
from quant.data.dataset import Dataset
from quant.graph.activation_sites import MIN_ACTIVE_SHARE, site_of
from quant.graph.inventory import Layer
from quant.graph.names import Names

Means = NDArray[np.float64]
"""The mean of each channel, and the share of positions that are active (2, C); 1 where no activation clips."""


@dataclass(frozen=True)
class FloatMeans:
    """The means at the layers of the float model in one batch, by the layer's name.

    Attributes:
        outputs: those of the layers' outputs, where these may be compared.
        activated: those after the activations that clip the layers' outputs.
    """

    outputs: Mapping[str, Means]
    activated: Mapping[str, Means]


class FloatMeansObserver:
    """Observer of the means at the layers' outputs, over the batches of one part of the set.

    Attributes:
        reductions: the nodes that compute each mean, by the name of the tensor that they make.
        means: the means so far, by the number of the batch.
    """

    def __init__(self, graph: ir.Graph, layers: Sequence[Layer], part: Dataset) -> None:
        """Prepare to observe layers that all have a channel axis."""
        self._numbers, self._names = frozenset(part.numbers), Names.of(graph)
        self.reductions: dict[str, list[onnx.NodeProto]] = {}
        self.means: dict[int, FloatMeans] = {}
        self._outputs: dict[str, str] = {}
        self._activated: dict[str, tuple[str, str]] = {}
        reduced: dict[str, str] = {}
        for layer in layers:
            site = site_of(layer)
            if site is None or site.total is not None:
                self._outputs[layer.name] = self._mean(layer, str(layer.node.outputs[0].name), reduced)
            if site is not None:
                self._activated[layer.name] = (
                    self._mean(layer, site.output, reduced),
                    self._mean(layer, site.output, reduced, of_active=True),
                )

    def wants(self, number: int) -> Collection[str]:
        """Return the names of the means if the batch is in the part."""
        return self.reductions if number in self._numbers else ()

    def add(self, number: int, values: Tensors) -> None:
        """Observe one batch: means (N, C, ...) of the samples, or (1, C) of all rows."""
        if number not in self._numbers:
            return

        def mean(name: str) -> NDArray[np.float64]:
            value = np.asarray(values[name], np.float64)
            means: NDArray[np.float64] = value.reshape(value.shape[:2]).mean(axis=0)
            return means

        self.means[number] = FloatMeans(
            {layer: np.stack([total := mean(name), np.ones_like(total)]) for layer, name in self._outputs.items()},
            {
                layer: np.stack([mean(name), np.maximum(mean(active), MIN_ACTIVE_SHARE)])
                for layer, (name, active) in self._activated.items()
            },
        )

    def _mean(self, layer: Layer, tensor: str, reduced: dict[str, str], *, of_active: bool = False) -> str:
        """Return the name of the mean of a tensor, or of the share of its positive values; add it if it is new."""
        base = f"{tensor}/{'active' if of_active else 'mean'}"
        if base not in reduced:
            reduced[base] = name = self._names.value(base)
            self.reductions[name] = [*self._nodes(layer, tensor, name, of_active=of_active)]
        return reduced[base]

    def _nodes(self, layer: Layer, tensor: str, name: str, *, of_active: bool) -> Iterator[onnx.NodeProto]:
        """Yield the nodes that compute a mean."""
        if of_active:  # a value after the activation is never negative
            source, tensor = tensor, self._names.value(f"{name}/positions")
            yield helper.make_node("HardSigmoid", [source], [tensor], alpha=STEEPEST, beta=0.0)
        if layer.operator.spatial:
            yield helper.make_node("GlobalAveragePool", [tensor], [name])
            return
        shape, rows, axes = (self._names.value(f"{name}/{part}") for part in ("shape", "rows", "axes"))
        for constant, value in ((shape, [-1, layer.output_channels]), (axes, [0])):
            yield helper.make_node("Constant", [], [constant], value=numpy_helper.from_array(np.array(value)))
        yield helper.make_node("Reshape", [tensor, shape], [rows])
        yield helper.make_node("ReduceMean", [rows, axes], [name], keepdims=1)
