"""Calibration without data: moments of the layers' inputs in the float model on synthetic inputs.

See docs/methods.md, 'Synthetic inputs'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.batch_memory import MAX_BYTES
from quant.calibration.image_range import image_ranges
from quant.calibration.input_moments import SecondMoments
from quant.calibration.moment_observer import MomentObserver
from quant.calibration.observers import observe, session_with_outputs
from quant.calibration.synthetic_inputs import KINDS, ImageRange, NoSyntheticInputs, synthetic_set
from quant.calibration.synthetic_moments import SyntheticMoments
from quant.data.dataset import BATCH, Dataset
from quant.deadline import UNLIMITED, Deadline
from quant.errors import ModelError
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless, weightless

MIN_SAMPLES, MAX_SAMPLES = 8, 64
"""The least and the most samples of each kind."""
COMPARED_PART, MIN_COMPARED = 4, 4
"""Models are compared on a quarter as many other samples, but at least four of each kind."""
PRODUCTS = 10e9
"""The products of each kind that the samples are chosen by: about a second of one processor."""
MAX_PRODUCTS = 20e9
"""The most products of one sample; models that take more get no synthetic inputs."""
MAX_WEIGHTS = 250_000_000
"""The most weights of a model that gets synthetic inputs."""
MAX_MOMENTS = 16 << 20
"""The most second moments of all layers of one kind; the widest layers are left out. They are held three times."""
INDEPENDENT_SHARE, SINGLE_ROW_SHARE = 0.2, 0.5
"""The share of the moments in which inputs of a layer count as independent of each other, since correlations on real
inputs differ from those on synthetic ones; the second where a sample gives one row only. The output SQNR of a ResNet8
differs by 1 dB between 0.05 and 0.4."""
ALL_ROWS = 1 << 30


@dataclass(frozen=True)
class SyntheticCalibration:
    """The result of a calibration on synthetic inputs.

    Attributes:
        moments: the moments of the layers' inputs, by the layer's name; empty if there are none.
        samples: the number of synthetic samples of all kinds.
        reason: why there are no moments; None if there are.
    """

    moments: Mapping[str, SyntheticMoments] = field(default_factory=dict)
    samples: int = 0
    reason: str | None = None


def calibrate_synthetically(
    model: ir.Model, layers: Sequence[Layer], seed: int, deadline: Deadline = UNLIMITED
) -> SyntheticCalibration:
    """Return the moments of the layers' inputs in the float model on synthetic inputs.

    Args:
        model: the normalised model.
        layers: the layers of the model whose moments are wanted.
        seed: the seed of the inputs.
        deadline: after it, only the first inputs of each kind are used.
    """
    try:
        return _calibrate(model, weightless(model), _readable(model, layers), seed, deadline)
    except NoSyntheticInputs as reason:
        return SyntheticCalibration(reason=str(reason))
    except ModelError as error:
        return SyntheticCalibration(reason=f"the model does not run on synthetic inputs: {error.detail}")


def comparison_inputs(model: ir.Model, layers: Sequence[Layer], seed: int) -> tuple[Dataset, ...]:
    """Return inputs of each kind that the calibration does not use, to compare quantized models; empty if none fit.

    Args:
        model: the normalised model.
        layers: the layers of the model.
        seed: the seed of the calibration.
    """
    try:
        size = _sample_size(model, weightless(model), _readable(model, layers), seed)
    except (NoSyntheticInputs, ModelError):
        return ()
    samples = max(size.samples // COMPARED_PART, MIN_COMPARED)
    return tuple(synthetic_set(model, kind, size.ranges, samples, seed + 1, size.batch) for kind in KINDS)


def layers_with_moments(model: ir.Model, layers: Sequence[Layer]) -> frozenset[str]:
    """Return the names of the layers that are expected to get moments; the model is not run."""
    try:
        readable = _readable(model, layers)
        synthetic_set(model, KINDS[0], {}, 1, 0, batch=1)
    except NoSyntheticInputs:
        return frozenset()
    return frozenset(layer.name for layer in _within_memory(readable))


def _readable(model: ir.Model, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that multiply a tensor of the main graph by a matrix.

    Raises:
        NoSyntheticInputs: there are none, or the model has too many weights.
    """
    if sum({layer.weight_name: layer.size for layer in layers}.values()) > MAX_WEIGHTS:
        raise NoSyntheticInputs(f"the model has more than {MAX_WEIGHTS:,} weights")
    readable = [layer for layer in layers if _has_rows(layer, model.graph)]
    if not readable:
        raise NoSyntheticInputs("no layer multiplies an input that can be read by a matrix")
    return readable


def _calibrate(
    model: ir.Model, graph: Weightless, layers: Sequence[Layer], seed: int, deadline: Deadline
) -> SyntheticCalibration:
    """Return the moments on as many samples as the size of the model allows.

    Raises:
        NoSyntheticInputs, ModelError: inputs cannot be made, or the model does not run on them.
    """
    size = _sample_size(model, graph, layers, seed)
    narrow = _within_memory(layers)
    observed: list[dict[str, SecondMoments]] = []
    for kind in KINDS:
        part = synthetic_set(model, kind, size.ranges, size.samples, seed, size.batch)
        observer = MomentObserver(model, [(layer, True) for layer in narrow], part)
        observe(graph, part, [observer], lambda *_: None, deadline)
        known = observer.moments().items()
        observed.append({name: moments for name, moments in known if isinstance(moments, SecondMoments)})
    moments = {
        layer.name: SyntheticMoments.pooled(
            [part[layer.name] for part in observed], _independent_share(layer, size.positions[layer.name], size.samples)
        )
        for layer in narrow
        if all(layer.name in part for part in observed)
    }
    return SyntheticCalibration(moments, size.samples * len(KINDS))


@dataclass(frozen=True)
class _SampleSize:
    """The size of one synthetic sample, and what follows from it.

    Attributes:
        ranges: the ranges of images, by the input's name.
        positions: the rows that a sample gives each layer, by the layer's name.
        samples: the samples of each kind that are run.
        batch: the samples of a batch whose layer inputs fit in memory.
    """

    ranges: Mapping[str, ImageRange]
    positions: Mapping[str, int]
    samples: int
    batch: int


def _sample_size(model: ir.Model, graph: Weightless, layers: Sequence[Layer], seed: int) -> _SampleSize:
    """Return the size of one sample, which is run.

    Raises:
        NoSyntheticInputs, ModelError: inputs cannot be made, or the model does not run on them.
    """
    ranges = image_ranges(model, graph, layers, seed)
    feeds = next(synthetic_set(model, KINDS[0], ranges, 1, seed, batch=1).batches())
    names = sorted({_input_name(layer) for layer in layers})
    inputs = dict(zip(names, session_with_outputs(graph, names).run(feeds, names), strict=True))
    if not all(np.isfinite(value).all() for value in inputs.values()):
        raise NoSyntheticInputs("the model does not stay finite on synthetic inputs")
    positions = {layer.name: _rows(layer, inputs[_input_name(layer)]).shape[1] for layer in layers}
    products = sum(positions[layer.name] * layer.size for layer in layers)
    if products > MAX_PRODUCTS:
        raise NoSyntheticInputs(f"the model needs more than {MAX_PRODUCTS:.0e} products for one sample")
    samples = int(np.clip(PRODUCTS / products, MIN_SAMPLES, MAX_SAMPLES))
    batch = _batch(sum(value.nbytes for value in inputs.values()))
    return _SampleSize(ranges, positions, samples, batch)


def _independent_share(layer: Layer, positions: int, samples: int) -> float:
    """Return the share of the moments in which a layer's inputs count as independent.

    It is 1 where there are fewer rows than inputs. It is larger where a sample gives one row, as in classifiers behind
    a pooling: what separates the classes of real data is not in synthetic inputs.
    """
    matrix = weight_matrix(layer, layer.weight)
    assert matrix is not None, "a layer with rows has a matrix"
    if len(KINDS) * samples * positions < matrix.shape[2]:
        return 1.0
    return SINGLE_ROW_SHARE if positions == 1 else INDEPENDENT_SHARE


def _within_memory(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with the fewest second moments, as many as memory allows, in their order."""
    matrices = {layer.name: weight_matrix(layer, layer.weight) for layer in layers}
    counts = {name: matrix.shape[0] * matrix.shape[2] ** 2 for name, matrix in matrices.items() if matrix is not None}
    ordered = sorted(counts, key=lambda name: counts[name])
    totals = np.cumsum([counts[name] for name in ordered])
    within = {name for name, total in zip(ordered, totals, strict=True) if total <= MAX_MOMENTS}
    return [layer for layer in layers if layer.name in within]


def _batch(sample_bytes: int) -> int:
    """Return the samples of a batch whose layer inputs fit in memory."""
    batch = BATCH
    while batch > 1 and batch * sample_bytes > MAX_BYTES:
        batch //= 2
    return batch


def _has_rows(layer: Layer, graph: ir.Graph) -> bool:
    """Return True if the layer multiplies a tensor of the main graph by a matrix."""
    in_graph = layer.graph is graph and layer.node.graph is graph
    return in_graph and layer.multiplied is not None and weight_matrix(layer, layer.weight) is not None


def _rows(layer: Layer, value: NDArray[np.generic]) -> NDArray[np.float32]:
    return input_rows(layer, np.asarray(value, np.float32), ALL_ROWS, seed=0)


def _input_name(layer: Layer) -> str:
    multiplied = layer.multiplied
    assert multiplied is not None, "the layer has rows"
    return str(multiplied.name)
